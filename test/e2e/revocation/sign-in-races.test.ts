/**
 * Trust that ends while somebody signs in: across a revocation, and across a policy that flips
 * between the way to the provider and the way back (class H row 62, M1).
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEMO_PASSWORD } from "../../../start/demo-users.ts";
import { FormBrowser } from "../../start/form-browser.ts";
import { until } from "../../start/running-stack.ts";
import { type Person, signIn } from "../sign-in.ts";
import { EVERYBODY, type Stage, startStage } from "./stage.ts";

const NOBODY_OF_STAFF = "  - { id: people, effect: allow, apps: [stamps, other], when: { group: [contractors] } }";

let stage: Stage;

beforeAll(async () => {
  stage = await startStage({ lanes: 4 });
});
afterAll(async () => {
  await stage.end();
});

/** Goes as far as the way back from the provider, which is not taken yet. */
async function untilCallback(app: string, user: string): Promise<{ browser: FormBrowser; callback: string; at: string }> {
  const browser = new FormBrowser();
  const shown = await browser.open(app);
  const form = /action="(\/interaction\/[^"]+)"/.exec(shown.page?.text ?? "")?.[1] ?? "";
  const action = new URL(form, shown.at).href;
  const back = await browser.submit(action, { user, password: DEMO_PASSWORD });
  const arrived = await browser.follow(back, action, `${stage.stack.launcher}/.postern/callback`);
  if (arrived.stopped === undefined) throw new Error(`no callback: ${arrived.page?.status}`);
  return { browser, callback: arrived.stopped.href, at: arrived.at };
}

describe("a sign-in", () => {
  it("begun before and finished after the user's revocation gives no session (M1)", async () => {
    const carol = await signIn(stage.stamps, "carol");
    const half = await untilCallback(stage.stamps, "carol");
    const receipt = await stage.operator.revoke("user", "carol@example.com");
    expect(receipt.complete).toBe(true);
    const end = await half.browser.get(half.callback);
    expect(end.status).toBeGreaterThanOrEqual(400);
    expect([end.headers["set-cookie"] ?? []].flat().join("\n")).not.toMatch(/[0-9a-f]{64}\./);
    expect((await carol.call(`${stage.stamps}/plain`)).status).toBe(401);
    // A new attempt is welcome again once it is younger than the revocation.
    let again: Person | undefined;
    await until(async () => (again = await signIn(stage.stamps, "carol").catch(() => undefined)) !== undefined, "carol signs in again", 10_000);
    expect((await again?.call(`${stage.stamps}/plain`))?.status).toBe(200);
  });

  it("is denied the app when the policy flips between authorise and callback (row 62)", async () => {
    const half = await untilCallback(stage.stamps, "alice");
    await stage.operator.apply(stage.document(NOBODY_OF_STAFF));
    const first = await half.browser.get(half.callback);
    const shown = await half.browser.follow(first, half.callback);
    expect(shown.page?.status).toBe(404);
    expect(shown.page?.text).not.toBe("plain");
    await stage.operator.apply(stage.document(EVERYBODY));
    expect((await half.browser.open(stage.stamps)).page?.text).toBe("plain");
  });
});
