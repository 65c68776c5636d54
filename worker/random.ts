/** The edge's randomness, in the form that the pure folders take it as an argument. */

/** `length` bytes of the runtime's cryptographic randomness. */
export const random = (length: number): Uint8Array<ArrayBuffer> => crypto.getRandomValues(new Uint8Array(length));
