/**
 * Signing in a program on another device (RFC 8628 §3.3): type its code, look at what asks, approve
 * or refuse. The second step always shows, even for a link that brings the code along, because the
 * code may come from somebody who fishes for a sign-in (RFC 8628 §5.4).
 */
import type { Markup } from "./markup.ts";
import { markup, safeHref } from "./markup.ts";
import { frame } from "./layout.ts";

export type LoginCodeModel =
  /** POSTs `user_code` to `actionUrl`. `wrong`: the last one typed was unknown or has run out. */
  | { readonly step: "enter"; readonly actionUrl: string; readonly wrong: boolean }
  /** POSTs `user_code` and `decision=approve|refuse` to `actionUrl`. */
  | {
      readonly step: "confirm";
      readonly actionUrl: string;
      readonly userCode: string;
      readonly user: string;
      /** What asks, as it names itself, and where from: facts of the request, for the person to judge. */
      readonly program: string;
      readonly from?: string | undefined;
    }
  | { readonly step: "done"; readonly approved: boolean };

function enter(model: Extract<LoginCodeModel, { step: "enter" }>): Markup {
  return markup`<h1>Sign in a device</h1><form class="form" method="post" action="${safeHref(model.actionUrl) ?? ""}"><label for="code">Code shown on the device</label><input id="code" name="user_code" required maxlength="16" autocomplete="off" autocapitalize="characters" spellcheck="false"${
    model.wrong && markup` aria-invalid="true" aria-describedby="wrong"`
  }>${model.wrong && markup`<p class="wrong" id="wrong">This code is not known or has run out. Check it, or start again on the device.</p>`}<div class="actions"><button class="button primary" type="submit">Continue</button></div></form>`;
}

function confirm(model: Extract<LoginCodeModel, { step: "confirm" }>): Markup {
  return markup`<h1>Let this device in?</h1><p>A program asks to be signed in as <b>${model.user}</b>.</p><dl class="facts"><dt>Program</dt><dd>${model.program}</dd>${
    model.from !== undefined && markup`<dt>From</dt><dd>${model.from}</dd>`
  }<dt>Code</dt><dd><code>${model.userCode}</code></dd></dl><p class="note">Approve only if you started this yourself, just now, and the device shows this code. Nobody who helps you needs it.</p><form class="form" method="post" action="${safeHref(model.actionUrl) ?? ""}"><input type="hidden" name="user_code" value="${model.userCode}"><div class="actions"><button class="button" type="submit" name="decision" value="refuse">Refuse</button><button class="button primary" type="submit" name="decision" value="approve">Approve</button></div></form>`;
}

function done(approved: boolean): Markup {
  return approved
    ? markup`<h1>The device is signed in</h1><p>You can close this page and go on there.</p>`
    : markup`<h1>The device stays out</h1><p>Nothing was signed in. If you did not start this yourself, tell your administrator.</p>`;
}

/** The page of the step as HTML text. */
export function loginCodePage(model: LoginCodeModel): string {
  const card = (body: Markup) => frame({ title: "Sign in a device", body: markup`<section class="card">${body}</section>` });
  switch (model.step) {
    case "enter":
      return card(enter(model));
    case "confirm":
      return card(confirm(model));
    case "done":
      return card(done(model.approved));
    default:
      return model satisfies never;
  }
}
