/**
 * The explained denial and the step-up question: shown only to a person whom some policy for this
 * app names (POLICY "Explained or blank"). It says what is missing and what they can do; which
 * values a policy accepts is never in the model.
 */
import { accessForm } from "./access.ts";
import type { Advice } from "./layout.ts";
import { markup } from "./markup.ts";
import { actions, adviceList, frame, linkButton, requestIdLine } from "./layout.ts";

export interface DeniedModel {
  readonly user: { readonly name: string; readonly email?: string | undefined };
  readonly app: { readonly name: string };
  readonly requestId: string;
  /** What is missing, in the order in which to do it. */
  readonly advice: readonly Advice[];
  /** Present if signing in again, stronger or more recently, would open the app. */
  readonly stepUpUrl?: string | undefined;
  readonly switchUserUrl?: string | undefined;
  /** Present if a grant would open it. */
  readonly ask?: { readonly id: string; readonly name: string } | undefined;
  readonly launcherUrl?: string | undefined;
  /** To look again after a condition was met; a GET. */
  readonly retryUrl?: string | undefined;
}

/** The denial as HTML text. */
export function deniedPage(model: DeniedModel): string {
  const name = model.user.name === "" ? (model.user.email ?? "somebody") : model.user.name;
  const stepUp = linkButton(model.stepUpUrl, "Confirm it is you", "primary");
  const title = stepUp === undefined ? `${model.app.name} is closed to you right now` : `Confirm that it is you`;
  return frame({
    title,
    body: markup`<section class="card"><p class="kicker">${model.app.name}</p><h1>${title}</h1><p>You are signed in as <b>${name}</b>${
      model.user.email !== undefined && model.user.email !== name && markup` (${model.user.email})`
    }${model.advice.length > 0 ? ". To open this app now:" : ", but this app asks for something that is missing at the moment."}</p>${adviceList(model.advice)}${model.ask !== undefined && accessForm([model.ask])}${actions(
      stepUp,
      // Where a step-up opens the app, looking again without one does not.
      linkButton(stepUp === undefined ? model.retryUrl : undefined, "Try again", model.ask === undefined ? "primary" : "plain"),
      linkButton(model.launcherUrl, "Your apps"),
      linkButton(model.switchUserUrl, "Sign in as somebody else", "text"),
    )}${requestIdLine(model.requestId)}</section>`,
  });
}
