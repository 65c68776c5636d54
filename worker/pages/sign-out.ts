/**
 * The question before signing out, for those who open the sign-out address as a link: a GET
 * changes nothing, the button POSTs.
 */
import { markup } from "./markup.ts";
import { actions, frame, linkButton, postButton } from "./layout.ts";

export interface SignOutModel {
  readonly signOutUrl: string;
  readonly backUrl?: string | undefined;
}

/** The question as HTML text. */
export function signOutPage(model: SignOutModel): string {
  return frame({
    title: "Sign out",
    body: markup`<section class="card"><h1>Sign out?</h1><p>This ends your sign-in for every app, and closes what you have open in them.</p>${actions(postButton(model.signOutUrl, "Sign out", "primary"), linkButton(model.backUrl, "Stay signed in"))}</section>`,
  });
}
