/**
 * The answer to a form that met an ended session. A redirect would lose what the person typed;
 * this page keeps the form in the tab's history, so that a reload after signing in sends it again.
 */
import { ERROR_STATUS } from "../../core/errors.ts";
import { errorWords } from "../error-words.ts";
import { markup, safeHref } from "./markup.ts";
import { frame, requestIdLine, steps } from "./layout.ts";

export interface FormNotSentModel {
  readonly requestId: string;
  /** Signs in and ends at a harmless page of the same app; opened in a new tab. */
  readonly signInUrl: string;
}

/** The page as HTML text. */
export function formNotSentPage(model: FormNotSentModel): string {
  const { title, text, fix } = errorWords("form_not_sent");
  const href = safeHref(model.signInUrl);
  return frame({
    title,
    body: markup`<section class="card"><p class="kicker">${ERROR_STATUS.form_not_sent}</p><h1>${title}</h1><p>${text}</p><h2>To send it after all</h2>${steps(fix, "numbered")}${
      href !== undefined && markup`<div class="actions"><a class="button primary" href="${href}" target="_blank" rel="noopener">Sign in <span class="hint">(new tab)</span></a></div>`
    }${requestIdLine(model.requestId)}</section>`,
  });
}
