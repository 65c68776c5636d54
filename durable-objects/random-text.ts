/** Names and secrets that nobody guesses, as base64url. The runtime's randomness; the pure folders are handed theirs. */
import { toBase64Url } from "../core/bytes.ts";

export const randomText = (bytes: number): string => toBase64Url(crypto.getRandomValues(new Uint8Array(bytes)));
