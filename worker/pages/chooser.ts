/**
 * The choice of an identity provider, shown when a team has several. Plain GET links; it knows
 * nothing about the person and, to keep hosts alike for strangers, nothing about the app.
 */
import { markup, safeHref } from "./markup.ts";
import { frame } from "./layout.ts";
import { FRAGMENT_SCRIPT, keepFragment } from "./fragment-script.ts";

export interface ChooserModel {
  readonly providers: readonly { readonly id: string; readonly name: string; readonly url: string }[];
  /** The key under which the URL fragment is kept meanwhile; see continue.ts. */
  readonly flow?: string | undefined;
}

/** The provider chooser as HTML text. */
export function chooserPage(model: ChooserModel): string {
  const links = model.providers.map((provider) => {
    const href = safeHref(provider.url);
    return href === undefined ? undefined : markup`<li><a class="choice" href="${href}"><span>Continue with <b>${provider.name === "" ? provider.id : provider.name}</b></span></a></li>`;
  });
  return frame({
    title: "Sign in",
    head: model.flow !== undefined ? FRAGMENT_SCRIPT : undefined,
    body: markup`<section class="card"><h1>Sign in</h1><p>Choose the account of your organisation.</p><ul class="choices"${model.flow !== undefined && keepFragment(model.flow)}>${links}</ul></section>`,
  });
}
