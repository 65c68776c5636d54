/**
 * The frame of every page: head, mark, the one main landmark, and the small parts that pages
 * share (actions, advice, request id). Not for headers: see headers.ts. No page needs script,
 * inline style or anything from another host.
 */
import type { Markup } from "./markup.ts";
import { markup, safeHref } from "./markup.ts";
import { MARK } from "./mark.ts";

export interface Frame {
  /** The document title, without " · Postern". */
  readonly title: string;
  readonly body: Markup;
  /** What stands at the right of the mark; signed-in pages put the user and sign-out there. */
  readonly aside?: Markup | undefined;
  /** More elements of the head (the fragment script). */
  readonly head?: Markup | undefined;
  /** A list of tiles instead of one card. */
  readonly wide?: boolean;
}

/** The whole document as text. */
export function frame(model: Frame): string {
  return markup`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${model.title} · Postern</title>
<link rel="icon" href="/.postern/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/.postern/style.css">
${model.head}</head>
<body>
<header class="top"><div class="bar"><p class="brand">${MARK}<span>Postern</span></p>${model.aside}</div></header>
<main${model.wide === true && markup` class="wide"`}>
${model.body}
</main>
</body>
</html>
`.toString();
}

/** One thing a person may be missing, and what they can do about it. Written by policy/explain; holds no allow-list value. */
export interface Advice {
  /** A stable word: `mfa`, `device_managed`, `time_window` … */
  readonly code: string;
  readonly text: string;
  readonly action?: { readonly href: string; readonly label: string } | undefined;
}

/** A GET link that looks like a button; nothing if the target is absent or not a safe link. */
export function linkButton(target: string | undefined, label: string, kind: "primary" | "plain" | "text" = "plain"): Markup | undefined {
  const href = safeHref(target);
  return href === undefined ? undefined : markup`<a class="button ${kind}" href="${href}">${label}</a>`;
}

/** A form of one button that POSTs nothing but itself; nothing if the target is not a safe link. */
export function postButton(target: string, label: string, kind: "primary" | "plain" | "quiet" = "plain"): Markup | undefined {
  const action = safeHref(target);
  return action === undefined
    ? undefined
    : markup`<form method="post" action="${action}"><button class="button ${kind}" type="submit">${label}</button></form>`;
}

/** The row of buttons at the end of a card; nothing if it would be empty. */
export function actions(...buttons: readonly (Markup | undefined)[]): Markup | undefined {
  const shown = buttons.filter((button) => button !== undefined);
  return shown.length === 0 ? undefined : markup`<div class="actions">${shown}</div>`;
}

/** A sentence of the registry: what stands between backquotes is a command or a key. */
export function prose(text: string): Markup {
  return markup`${text.split("`").map((part, i) => (i % 2 === 1 ? markup`<code>${part}</code>` : part))}`;
}

/** What to do, as a list; numbered if one step follows the other. Nothing if there is nothing to do. */
export function steps(list: readonly string[], order: "any" | "numbered" = "any"): Markup | undefined {
  if (list.length === 0) return undefined;
  const items = list.map((step) => markup`<li>${prose(step)}</li>`);
  return order === "numbered" ? markup`<ol class="steps">${items}</ol>` : markup`<ul class="steps">${items}</ul>`;
}

/** The list of what is missing, each with its action. */
export function adviceList(list: readonly Advice[]): Markup | undefined {
  if (list.length === 0) return undefined;
  return markup`<ul class="advice">${list.map((advice) => {
    const href = safeHref(advice.action?.href);
    return markup`<li><span>${advice.text}</span>${
      href !== undefined && advice.action !== undefined && markup` <a href="${href}">${advice.action.label}</a>`
    }</li>`;
  })}</ul>`;
}

/** The last line of a card: the id that an operator hands to `postern explain`. */
export function requestIdLine(requestId: string): Markup {
  return markup`<p class="id">Request id <code>${requestId}</code><br>Give this to your administrator if you ask for help.</p>`;
}
