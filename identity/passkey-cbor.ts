/**
 * CBOR for the passkeys' library, which writes anew what it read only to learn how long it was: this
 * stands in for its own (wrangler.toml `[alias]`) and answers with the very bytes that were read, so
 * that nothing that writes CBOR is in the bundle.
 */
import { type CBORType, decodePartialCBOR } from "@levischuck/tiny-cbor";

const readFrom = new WeakMap<object, Uint8Array>();

/** The first value in the bytes. Throws when there is none, or not all of it. */
export function decodeFirst(input: Uint8Array): CBORType {
  const bytes = new Uint8Array(input);
  const [value, length] = decodePartialCBOR(bytes, 0);
  // What the bytes end in the midst of is read as if it were shorter.
  if (length > bytes.length) throw new TypeError("broken off");
  if (typeof value === "object" && value !== null) readFrom.set(value, bytes.subarray(0, length));
  return value;
}

/** The bytes that this very value was read from. Throws for any other. */
export function encode(value: object): Uint8Array {
  const bytes = readFrom.get(value);
  if (bytes === undefined) throw new TypeError("not read here");
  return bytes;
}
