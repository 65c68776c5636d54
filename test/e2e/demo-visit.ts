/** A person of the demo at an address: opens it and signs in when asked. Knows nothing of what is behind it. */
import { DEMO_PASSWORD } from "../../start/demo-users.ts";
import type { LoopbackAnswer } from "../../start/loopback-http.ts";
import type { FormBrowser } from "../start/form-browser.ts";

/** Opens an address, signs in at the demo provider on the way, and resolves with the page that is shown in the end. */
export async function visit(browser: FormBrowser, url: string, user: string, secondFactor = false): Promise<LoopbackAnswer | undefined> {
  const shown = await browser.open(url);
  const form = /action="(\/interaction\/[^"]+)"/.exec(shown.page?.text ?? "")?.[1];
  if (form === undefined) return shown.page;
  const action = new URL(form, shown.at).href;
  const back = await browser.submit(action, { user, password: DEMO_PASSWORD, ...(secondFactor ? { second_factor: "yes" } : {}) });
  return (await browser.follow(back, action)).page;
}
