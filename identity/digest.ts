/** SHA-256 of a text as base64url: how codes, tokens, reports, admissions and keys are named without being shown. Not for comparing secrets. */
import { toBase64Url } from "../core/bytes.ts";

export async function digestOf(text: string): Promise<string> {
  return toBase64Url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));
}
