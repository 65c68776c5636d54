/**
 * The page of every refusal and failure that has no page of its own: the words of the registry,
 * unless the caller knows better ones. Not for `not_found` (blank.ts) and not for an explained
 * denial (denied.ts).
 */
import type { ErrorActor } from "../../core/error-texts.ts";
import { ERROR_STATUS, type ErrorCode } from "../../core/errors.ts";
import { errorWords } from "../error-words.ts";
import type { Advice } from "./layout.ts";
import { markup } from "./markup.ts";
import { actions, adviceList, frame, linkButton, requestIdLine, steps } from "./layout.ts";

export interface ErrorModel {
  readonly code: Exclude<ErrorCode, "not_found">;
  readonly requestId: string;
  /** Instead of the registry's heading. */
  readonly title?: string | undefined;
  /** One more sentence, safe to show: never a cause's own message. */
  readonly detail?: string | undefined;
  readonly advice: readonly Advice[];
  /** Instead of the registry's steps. */
  readonly fix?: readonly string[] | undefined;
  readonly signInUrl?: string | undefined;
  readonly launcherUrl?: string | undefined;
  /** Shown as "Try again": only where repeating is harmless (a GET). */
  readonly retryUrl?: string | undefined;
}

const WHO: Readonly<Record<ErrorActor, string>> = {
  user: "What you can do",
  operator: "What your administrator can do",
  both: "What you or your administrator can do",
};

/** The error page as HTML text. */
export function errorPage(model: ErrorModel): string {
  const entry = errorWords(model.code);
  const title = model.title ?? entry.title;
  return frame({
    title,
    body: markup`<section class="card"><p class="kicker">${ERROR_STATUS[model.code]}</p><h1>${title}</h1><p>${entry.text}</p>${
      model.detail !== undefined && markup`<p>${model.detail}</p>`
    }${adviceList(model.advice)}<h2>${WHO[entry.who]}</h2>${steps(model.fix ?? entry.fix)}${actions(
      linkButton(model.signInUrl, "Sign in", "primary"),
      linkButton(model.retryUrl, "Try again", model.signInUrl === undefined ? "primary" : "plain"),
      // Signing in at the launcher ends at the launcher: one button is enough for both.
      linkButton(model.launcherUrl === model.signInUrl ? undefined : model.launcherUrl, "Your apps", model.signInUrl === undefined && model.retryUrl === undefined ? "primary" : "plain"),
    )}${requestIdLine(model.requestId)}</section>`,
  });
}
