/**
 * What the passkeys' library does with bytes, by this project's own means: it stands in for the
 * library's (wrangler.toml `[alias]`) under that one's names, without what nobody asks for.
 */
export { concat, equalSecrets as areEqual } from "../core/bytes.ts";

export const fromHex = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16));
/** A host name: ASCII, as the library's callers give it. */
export const fromASCIIString = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
export const fromUTF8String = fromASCIIString;
export const toDataView = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
