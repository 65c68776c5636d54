/**
 * The blank answer: what a stranger gets for an unknown host, an unknown app and a forbidden one
 * (POLICY "Explained or blank"). It takes the request id and nothing else, so that it cannot tell
 * them apart; the rest is one constant, made once, so that it cannot take longer for one of them.
 */
import { ERRORS } from "../../core/errors.ts";
import type { RequestId } from "../../core/ids.ts";
import { markup } from "./markup.ts";
import { frame, requestIdLine, steps } from "./layout.ts";

const HOLE = "r_0000000000000000000000";
const { title, text, fix } = ERRORS.not_found;
const [BEFORE = "", AFTER = ""] = frame({
  title,
  body: markup`<section class="card"><p class="kicker">404</p><h1>${title}</h1><p>${text}</p>${steps(fix)}${requestIdLine(HOLE)}</section>`,
}).split(HOLE);

/** The blank page as HTML text. A RequestId holds only `r_` and base64url, so nothing in it needs escaping. */
export function blankPage(requestId: RequestId): string {
  return BEFORE + requestId + AFTER;
}
