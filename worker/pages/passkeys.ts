/**
 * A person's passkeys: those that they have, and another one; and the question for one where an app
 * asks for a second factor. passkey.js does what only a browser can; without it the provider is left.
 */
import type { Markup } from "./markup.ts";
import { markup, safeHref } from "./markup.ts";
import { frame, linkButton } from "./layout.ts";

const SCRIPT = markup`<script src="/.postern/passkey.js" defer></script>
`;

export interface PasskeysModel {
  readonly keys: readonly { readonly id: string; readonly name: string; readonly createdAt: number; readonly usedAt: number }[];
  readonly launcherUrl: string;
}

/** A form that passkey.js answers; its button shows once that runs. `attributes` tell it what to do. */
const ceremony = (attributes: Markup, button: string, inside?: Markup): Markup =>
  markup`<div${attributes}><form class="form" method="post" action="/.postern/passkeys">${inside}<p class="wrong" role="alert"></p><div class="actions"><button class="button primary" type="submit" hidden>${button}</button></div></form></div><noscript><p class="note">A passkey needs JavaScript, which is off in this browser.</p></noscript>`;

const day = (instant: number): string => new Date(instant).toISOString().slice(0, 10);

/** The list as HTML text. */
export function passkeysPage({ keys, launcherUrl }: PasskeysModel): string {
  const items = keys.map(
    ({ id, name, createdAt, usedAt }) =>
      markup`<li><span><b>${name}</b><br>Added ${day(createdAt)}, ${usedAt === 0 ? "not used yet" : markup`last used ${day(usedAt)}`}</span><form method="post" action="/.postern/passkeys/remove"><input type="hidden" name="id" value="${id}"><button class="button" type="submit" aria-label="Remove ${name}">Remove</button></form></li>`,
  );
  return frame({
    title: "Your passkeys",
    head: SCRIPT,
    body: markup`<section class="card"><h1>Your passkeys</h1><p>With a passkey you confirm that it is you when an app asks for a second factor.</p>${
      items.length > 0 && markup`<ul class="keys">${items}</ul>`
    }${ceremony(markup` data-passkey="add"`, "Add a passkey", markup`<label for="name">Name of the new passkey</label><input id="name" name="name" maxlength="64" value="This device">`)}<div class="actions">${linkButton(launcherUrl, "Your apps")}</div></section>`,
  });
}

export interface StepUpModel {
  /** Bits of policy/passkey.ts. */
  readonly helps: number;
  readonly nextUrl: string;
  readonly providerUrl: string;
}

/** The question as HTML text. */
export function stepUpPage({ helps, nextUrl, providerUrl }: StepUpModel): string {
  return frame({
    title: "Confirm that it is you",
    head: SCRIPT,
    body: markup`<section class="card"><h1>Confirm that it is you</h1><p>A second factor is needed to go on.</p>${ceremony(markup` data-passkey="use" data-helps="${helps}" data-next="${safeHref(nextUrl)}"`, "Use your passkey")}<div class="actions">${linkButton(providerUrl, "Sign in again at your provider")}</div></section>`,
  });
}
