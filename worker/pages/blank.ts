/**
 * The blank answer: what a stranger gets for an unknown host, an unknown app and a forbidden one
 * (POLICY "Explained or blank"). It takes the request id and nothing else, so that it cannot tell
 * them apart; the rest is made once of the words that the isolate has, so that it cannot take longer for one of them.
 */
import type { ErrorText } from "../../core/error-texts.ts";
import type { RequestId } from "../../core/ids.ts";
import { errorWords } from "../error-words.ts";
import { markup } from "./markup.ts";
import { frame, requestIdLine, steps } from "./layout.ts";

const HOLE = "r_0000000000000000000000";
/** Before and after the request id, of these words. */
let made: { readonly words: ErrorText; readonly parts: readonly string[] } | undefined;

/** The blank page as HTML text. A RequestId holds only `r_` and base64url, so nothing in it needs escaping. */
export function blankPage(requestId: RequestId): string {
  const words = errorWords("not_found");
  if (made?.words !== words) {
    const body = markup`<section class="card"><p class="kicker">404</p><h1>${words.title}</h1><p>${words.text}</p>${steps(words.fix)}${requestIdLine(HOLE)}</section>`;
    made = { words, parts: frame({ title: words.title, body }).split(HOLE) };
  }
  return made.parts.join(requestId);
}
