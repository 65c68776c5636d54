/** The words of errors, at hand in this isolate as after its first request. */
import { ERROR_TEXTS } from "../core/error-texts.ts";
import { readErrorWords } from "../worker/error-words.ts";

export async function withErrorWords(): Promise<void> {
  await readErrorWords({ fetch: () => Promise.resolve(Response.json(ERROR_TEXTS)) }, 0);
}
