/** Asking for access for a while: the form, on a denied page or in the launcher, and what answers it. */
import { actions, frame, linkButton } from "./layout.ts";
import { type Markup, markup } from "./markup.ts";

/** `apps`: those that may be asked for; the one without a name is what the page is about. */
export function accessForm(apps: readonly { readonly id: string; readonly name: string }[]): Markup {
  const [only] = apps;
  return markup`<form class="form words" method="post" action="/.postern/request">${
    only?.name === ""
      ? markup`<input type="hidden" name="app" value="${only?.id}">`
      : markup`<label for="app">App</label><select id="app" name="app">${apps.map(({ id, name }) => markup`<option value="${id}">${name}</option>`)}</select>`
  }<label for="for">For how long</label><select id="for" name="for">${["1h", "2h", "4h", "8h"].map((one) => markup`<option>${one}</option>`)}</select><label for="reason">Why</label><input id="reason" name="reason" required maxlength="500" autocomplete="off"><div class="actions"><button class="button primary" type="submit">Ask for access</button></div></form>`;
}

export function askedPage(launcherUrl: string): string {
  const title = "You asked for access";
  return frame({
    title,
    body: markup`<section class="card"><h1>${title}</h1><p>It opens once somebody else says yes. Nobody did within a day: ask again.</p>${actions(linkButton(`${launcherUrl}/`, "Your apps", "primary"))}</section>`,
  });
}
