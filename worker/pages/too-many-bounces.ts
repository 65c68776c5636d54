/**
 * The stop after the third sign-in in 30 seconds that an app's host did not see: a browser that
 * drops our cookie would otherwise go round for ever. A GET link tries once more, by hand.
 */
import { ERROR_STATUS } from "../../core/errors.ts";
import { errorWords } from "../error-words.ts";
import { markup } from "./markup.ts";
import { actions, frame, linkButton, requestIdLine, steps } from "./layout.ts";

export interface TooManyBouncesModel {
  readonly requestId: string;
  readonly retryUrl: string;
  readonly launcherUrl?: string | undefined;
}

/** The page as HTML text. */
export function tooManyBouncesPage(model: TooManyBouncesModel): string {
  const { title, text, fix } = errorWords("too_many_bounces");
  return frame({
    title,
    body: markup`<section class="card"><p class="kicker">${ERROR_STATUS.too_many_bounces}</p><h1>${title}</h1><p>${text}</p><h2>What to do</h2>${steps(fix, "numbered")}${actions(
      linkButton(model.retryUrl, "Sign in once more", "primary"),
      linkButton(model.launcherUrl, "Your apps"),
    )}${requestIdLine(model.requestId)}</section>`,
  });
}
