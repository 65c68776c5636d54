/**
 * After signing out. Says what was closed, and that the identity provider may still know the
 * person. Knows nothing about them any more.
 */
import { markup } from "./markup.ts";
import { actions, frame, linkButton } from "./layout.ts";

export interface SignedOutModel {
  readonly signInUrl: string;
  /** How many open connections ended with the session, if known. */
  readonly closed?: number | undefined;
  /** True if the provider's own session was ended too (RP-initiated logout). */
  readonly providerToo: boolean;
}

/** The signed-out page as HTML text. */
export function signedOutPage(model: SignedOutModel): string {
  const { closed } = model;
  return frame({
    title: "Signed out",
    body: markup`<section class="card"><h1>You are signed out</h1><p>Every app that you opened with this sign-in is closed.${
      closed !== undefined && closed > 0 && ` ${closed} open ${closed === 1 ? "connection was" : "connections were"} ended.`
    }</p>${!model.providerToo && markup`<p class="note">Your organisation's sign-in service may still remember you. On a computer that you share, sign out there too, or close the browser.</p>`}${actions(linkButton(model.signInUrl, "Sign in again", "primary"))}</section>`,
  });
}
