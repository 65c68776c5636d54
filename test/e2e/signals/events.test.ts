/**
 * A provider's logout and a transmitter's security events on live connections through the whole
 * product: cut, or held where a fresh sign-in would help, when they are answered (class H).
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { cuts, holds } from "./live.ts";
import { type Connected, connect, signedIn, stepUp } from "./person.ts";
import { type Demand, type SignalStage, startSignalStage } from "./stage.ts";

let stage: SignalStage;
const opened: Connected[] = [];
beforeAll(async () => {
  stage = await startSignalStage({ directory: false });
});
afterEach(async () => void (await Promise.all(opened.splice(0).map((one) => one.leave()))));
afterAll(() => stage?.end());

/** Somebody with everything open at the apps of a demand, and what it demands. */
async function connected(user: string, demand: Demand = "crew"): Promise<Connected> {
  const person = await signedIn(stage, user);
  if (demand === "careful") await stepUp(person.browser, stage.urlOf(demand), user);
  if (demand === "lab") {
    await stage.event("caep/device-compliance-change", user, { current_status: "compliant" });
    await person.browser.open(stage.urlOf(demand));
  }
  const one = await connect(stage, person, demand);
  opened.push(one);
  return one;
}

describe("what ends sessions", () => {
  it("ssf-session-revoked · http, sse, websocket, tcp, ssh: all of theirs ends, and nothing of others", async () => {
    const [alice, carol] = [await connected("alice"), await connected("carol")];
    await cuts(stage, alice, carol, "4401", () => stage.event("caep/session-revoked", "alice"));
    expect((await alice.person.call(`${stage.urlOf("crew")}/plain`)).status).toBe(401);
  });

  it("ssf-account-disabled · http, sse, websocket, tcp, ssh: all of theirs ends, and nothing of others", async () => {
    const [alice, carol] = [await connected("alice"), await connected("carol")];
    await cuts(stage, alice, carol, "4401", () => stage.event("risc/account-disabled", "alice"));
  });

  it("backchannel-logout · http, sse, websocket, tcp, ssh: a sign-out at the provider ends what came of that session there, by a token that it signed", async () => {
    const [alice, elsewhere] = [await connected("alice"), await connected("alice")];
    const { browser } = alice.person;
    await cuts(stage, alice, elsewhere, "4401", async () => {
      const end = `${stage.stack.issuer}/session/end`;
      const shown = await browser.get(end);
      const [action = "", xsrf = ""] = [/action="([^"]+)"/.exec(shown.text)?.[1], /name="xsrf" value="([^"]+)"/.exec(shown.text)?.[1]];
      const { status } = await browser.submit(new URL(action, end).href, { xsrf, logout: "yes" });
      return { status: status === 302 || status === 303 ? 200 : status };
    });
    expect((await alice.person.call(`${stage.urlOf("crew")}/plain`)).status).toBe(401);
  });
});

describe("what takes facts away", () => {
  it.each<[string, Demand, string, string, object]>([
    ["ssf-token-claims-change · http, sse, websocket, tcp, ssh: a group is gone", "crew", "4403", "caep/token-claims-change", { claims: { groups: ["contractors"] } }],
    ["ssf-device-compliance-change · http, sse, websocket, tcp, ssh: the device does not comply any more", "lab", "4403", "caep/device-compliance-change", { current_status: "not-compliant" }],
  ])("%s", async (_title, demand, code, type, payload) => {
    const [alice, carol] = [await connected("alice", demand), await connected("carol", demand)];
    await cuts(stage, alice, carol, code, () => stage.event(type, "alice", payload));
    // A newer sign-in says anew what it proves itself.
    await stage.event("caep/session-revoked", "alice");
  });

  it.each<[string, string, object]>([
    ["ssf-credential-change · http, sse, websocket, tcp, ssh: a second factor counts no more: what needs one is held, what needs none goes on", "caep/credential-change", { credential_type: "fido2-roaming", change_type: "revoke" }],
    ["ssf-assurance-level-change · http, sse, websocket, tcp, ssh: a weaker sign-in: what needs a second factor is held, what needs none goes on", "caep/assurance-level-change", { current_level: "nist-aal1", change_direction: "decrease" }],
    ["ssf-account-credential-change-required · http, sse, websocket, tcp, ssh: a fresh sign-in is asked for: what needs one is held, what needs none goes on", "risc/account-credential-change-required", {}],
  ])("%s", async (_title, type, payload) => {
    const careful = await connected("carol", "careful");
    const calm = await connect(stage, careful.person, "crew").catch(async () => {
      await careful.person.browser.open(stage.urlOf("crew"));
      return connect(stage, careful.person, "crew");
    });
    opened.push(calm);
    await holds(careful, calm, () => stage.event(type, "carol", payload));
    expect((await careful.person.call(`${stage.urlOf("careful")}/plain`)).status).toBe(401);
    await stage.event("caep/session-revoked", "carol");
  });
});
