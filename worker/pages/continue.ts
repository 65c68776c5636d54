/**
 * The interstitial that keeps the URL fragment: once before the identity provider (`keep`), once
 * on the way back to the app (`restore`). With script it is gone at once; without, a refresh or
 * its link goes on. Not a place for a decision: the target is already decided and safe.
 */
import { markup, safeHref } from "./markup.ts";
import { frame } from "./layout.ts";
import { FRAGMENT_SCRIPT, keepFragment, restoreFragment } from "./fragment-script.ts";

export interface ContinueModel {
  readonly mode: "keep" | "restore";
  /** Where to go on; a safe link. */
  readonly to: string;
  /** The same text before and after signing in, and another for each sign-in: the key of what is kept. */
  readonly flow: string;
}

/** The interstitial as HTML text. An unsafe target shows the page without a way on. */
export function continuePage(model: ContinueModel): string {
  const href = safeHref(model.to);
  const hold = model.mode === "keep" ? keepFragment(model.flow) : restoreFragment(model.flow);
  const words = model.mode === "keep" ? "Taking you to your sign-in page." : "You are signed in. Opening your app.";
  return frame({
    title: model.mode === "keep" ? "Signing in" : "Opening your app",
    head: markup`${href !== undefined && markup`<noscript><meta http-equiv="refresh" content="0;url=${href}"></noscript>
`}${FRAGMENT_SCRIPT}`,
    body: markup`<section class="card"><h1>One moment</h1><p>${words}</p>${
      href !== undefined && markup`<div class="actions"><a class="button primary" href="${href}" data-go${hold}>Continue</a></div>`
    }</section>`,
  });
}
