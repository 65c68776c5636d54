/**
 * What an app host knows about the person who is signed in, for people and for support. The same
 * facts as the JSON of `/.postern/me`; never a token, a cookie or a policy.
 */
import type { Millis } from "../../core/time.ts";
import { markup } from "./markup.ts";
import { actions, frame, linkButton, postButton } from "./layout.ts";

export interface MeModel {
  readonly user: { readonly name: string; readonly email?: string | undefined; readonly provider: string; readonly groups: readonly string[] };
  readonly session: { readonly authenticatedAt: Millis; readonly expiresAt: Millis; readonly methods: readonly string[] };
  readonly launcherUrl?: string | undefined;
  readonly signOutUrl?: string | undefined;
}

const utc = (instant: Millis) => {
  const iso = new Date(instant).toISOString();
  return markup`<time datetime="${iso}">${iso.slice(0, 16).replace("T", " ")} UTC</time>`;
};

/** The page as HTML text. */
export function mePage(model: MeModel): string {
  const { user, session } = model;
  return frame({
    title: "You",
    body: markup`<section class="card"><h1>You are signed in</h1><dl class="facts"><dt>Name</dt><dd>${user.name}</dd>${
      user.email !== undefined && markup`<dt>Email</dt><dd>${user.email}</dd>`
    }<dt>Signed in by</dt><dd>${user.provider}</dd><dt>Groups</dt><dd>${user.groups.length === 0 ? "none" : user.groups.join(", ")}</dd><dt>Methods</dt><dd>${session.methods.length === 0 ? "not stated" : session.methods.join(", ")}</dd><dt>Since</dt><dd>${utc(session.authenticatedAt)}</dd><dt>Until</dt><dd>${utc(session.expiresAt)}</dd></dl>${actions(
      linkButton(model.launcherUrl, "Your apps", "primary"),
      postButton(model.signOutUrl ?? "/.postern/logout", "Sign out"),
    )}</section>`,
  });
}
