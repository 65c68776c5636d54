/**
 * base64url for the passkeys' library, by the one reader of this project: it stands in for the
 * library's own (wrangler.toml `[alias]`) under that one's names. What has a second spelling is refused.
 */
import { fromBase64Url, toBase64Url } from "../core/bytes.ts";

/** Throws for what is not base64url. */
export function toBuffer(text: string): Uint8Array<ArrayBuffer> {
  const bytes = fromBase64Url(text);
  if (bytes === undefined) throw new TypeError("not base64url");
  return bytes;
}

/** Text is no bytes: a number of a key that came as text is none. */
export const fromBuffer = (bytes: Uint8Array): string => toBase64Url(new Uint8Array(bytes));
export const toUTF8String = (text: string): string => new TextDecoder().decode(toBuffer(text));
export const isBase64URL = (text: string): boolean => fromBase64Url(text) !== undefined;
