/**
 * The launcher: the apps that one signed-in person may open, and nothing about any other app.
 * The caller decides which apps those are; this page shows exactly the ones it is given.
 */
import type { Millis } from "../../core/time.ts";
import { HOUR_MS, MINUTE_MS } from "../../core/time.ts";
import { accessForm } from "./access.ts";
import type { Markup } from "./markup.ts";
import { markup, safeHref } from "./markup.ts";
import { frame, linkButton, postButton } from "./layout.ts";

export interface LauncherApp {
  readonly id: string;
  readonly name: string;
  /** Absent for a TCP app: the tile is no link. */
  readonly url?: string | undefined;
  /** Shown under the name, so that people learn the address. */
  readonly host: string;
  readonly tags: readonly string[];
  /** Opening it asks for a fresh or stronger sign-in first. */
  readonly stepUp: boolean;
}

export interface LauncherModel {
  readonly user: { readonly name: string; readonly email?: string | undefined };
  readonly apps: readonly LauncherApp[];
  /** Apps that a grant would open. */
  readonly askable?: readonly { readonly id: string; readonly name: string }[];
  readonly session: { readonly expiresAt: Millis };
  readonly now: Millis;
  /** May change the policy: the empty launcher then says how the first app gets here. */
  readonly operator: boolean;
  /** What the break-glass account does that an operator must see. */
  readonly alarm?: string | undefined;
  /** False: none may be used here. */
  readonly passkeys?: boolean;
  /** Where an operator administers Postern, if that is a page. */
  readonly consoleUrl?: string | undefined;
  /** Target of the sign-out form; `/.postern/logout` if absent. */
  readonly signOutUrl?: string | undefined;
}

/** How many tile colours the stylesheet has. */
const TILE_COLOURS = 6;

/** A host name that a narrow tile breaks before a dot and not inside a word. */
const breakable = (host: string): readonly Markup[] => host.split(".").map((label, i) => (i === 0 ? markup`${label}` : markup`<wbr>.${label}`));

function tile(app: LauncherApp): Markup {
  const name = app.name === "" ? app.id : app.name;
  const initial = [...name][0] ?? "";
  const colour = [...app.id].reduce((sum, char) => (sum * 31 + (char.codePointAt(0) ?? 0)) % 9973, 7) % TILE_COLOURS;
  const href = safeHref(app.url);
  const inside = markup`<span class="glyph g${colour}" aria-hidden="true">${initial.toUpperCase()}</span><span class="about"><span class="name">${name}</span><span class="host">${breakable(app.host)}</span>${
    href === undefined && markup`<span class="host">TCP, not for a browser</span>`
  }${(app.tags.length > 0 || app.stepUp) && markup`<span class="tags">${app.stepUp && markup`<span class="tag ask">asks you to confirm</span>`}${app.tags.map((tag) => markup`<span class="tag">${tag}</span>`)}</span>`}</span>`;
  return href === undefined ? markup`<li><div class="tile">${inside}</div></li>` : markup`<li><a class="tile" href="${href}">${inside}</a></li>`;
}

/** "7 h 40 min", "12 min", or "less than a minute". */
function remaining(from: Millis, until: Millis): string {
  const left = Math.max(0, until - from);
  const hours = Math.floor(left / HOUR_MS);
  const minutes = Math.floor((left % HOUR_MS) / MINUTE_MS);
  if (hours === 0 && minutes === 0) return "less than a minute";
  return [hours > 0 && `${hours} h`, minutes > 0 && `${minutes} min`].filter(Boolean).join(" ");
}

function empty(operator: boolean): Markup {
  return operator
    ? markup`<section class="empty"><h2>No apps yet</h2><p>Name an app in <code>postern.yaml</code>, give somebody a policy for it, and run <code>postern apply postern.yaml</code>. It appears here at once.</p></section>`
    : markup`<section class="empty"><h2>No apps for you yet</h2><p>You are signed in, but no app is open to you at the moment. Ask your administrator for the ones you need, and tell them the name at the top of this page.</p></section>`;
}

/** The launcher page as HTML text. */
export function launcherPage(model: LauncherModel): string {
  const { user, apps } = model;
  const name = user.name === "" ? (user.email ?? "") : user.name;
  return frame({
    title: "Your apps",
    wide: true,
    aside: markup`<div class="who"><p><span class="name">${name}</span>${user.email !== undefined && user.email !== name && markup`<span class="email">${user.email}</span>`}</p>${postButton(model.signOutUrl ?? "/.postern/logout", "Sign out", "quiet")}</div>`,
    body: markup`${model.alarm !== undefined && markup`<section class="card" role="alert"><h2>The break-glass account is ${model.alarm}</h2><p>Who did it: <code>postern break-glass status</code> and the record. To end it: <code>postern break-glass close</code>, or <code>cancel</code> while it counts down.</p></section>`}<div class="lead"><h1>Your apps</h1><p class="session">Signed in for another <time datetime="${new Date(model.session.expiresAt).toISOString()}">${remaining(model.now, model.session.expiresAt)}</time>.</p>${model.operator && linkButton(model.consoleUrl, "Administer Postern")}${model.passkeys !== false && linkButton("/.postern/passkeys", "Your passkeys")}</div>
${apps.length === 0 ? empty(model.operator) : markup`<ul class="tiles">${apps.map(tile)}</ul>`}${model.askable !== undefined && model.askable.length > 0 && markup`<section class="card"><h2>Access for a while</h2>${accessForm(model.askable)}</section>`}`,
  });
}
