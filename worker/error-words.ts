/**
 * The words of the error codes as this isolate has them: read once from the Worker's assets, where
 * the build put them (core/error-texts.ts, docs/decisions/0025). Every request has them read before
 * it is known what becomes of it, so that no refusal takes longer than another. Where they cannot
 * be read, an answer says its code: none fails because a text is missing.
 */
import type { ErrorText } from "../core/error-texts.ts";
import type { ErrorCode } from "../core/errors.ts";
import { lasting, SECOND_MS } from "../core/time.ts";
import type { Env } from "./env.ts";

/** The file among the assets. No route serves it. */
export const ERROR_WORDS_FILE = "errors.json";
/** Bounds how long a request waits for words that do not come. */
const WORDS_DEADLINE_MS = lasting(SECOND_MS);
/** After a failure nobody asks again for so long. */
const WORDS_RETRY_MS = lasting(10 * SECOND_MS);

interface Words {
  known?: Readonly<Record<string, ErrorText>>;
  failedAt?: number;
}
/** The same for every deployment in one process: they are this build's. */
const words: Words = {};

/** Never rejects; undefined when there is nothing to wait for. */
export function readErrorWords(assets: Env["ASSETS"], now: number): Promise<void> | undefined {
  if (words.known !== undefined || assets === undefined) return undefined;
  if (words.failedAt !== undefined && now - words.failedAt < WORDS_RETRY_MS) return undefined;
  return assets
    .fetch(`https://assets.internal/${ERROR_WORDS_FILE}`, { signal: AbortSignal.timeout(WORDS_DEADLINE_MS) })
    .then((file) => file.json())
    .then(
      (read) => {
        words.known = read as Readonly<Record<string, ErrorText>>;
      },
      () => {
        words.failedAt = now;
      },
    );
}

/** What to tell people about a code. */
export function errorWords(code: ErrorCode): ErrorText {
  return words.known?.[code] ?? { title: code, text: code, who: "both", fix: [] };
}
