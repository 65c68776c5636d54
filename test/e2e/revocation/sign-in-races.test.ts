/**
 * Trust that ends while somebody signs in, is quiet, or runs out: sign-in across a revocation,
 * policy flips on the way back from the provider, groups that were taken away, exact expiry
 * (class H rows 59, 62, 64; M1, M7).
 */
import { generateKeyPairSync } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEMO_PASSWORD } from "../../../start/demo-users.ts";
import { FormBrowser } from "../../start/form-browser.ts";
import { until } from "../../start/running-stack.ts";
import { type Person, signIn } from "../sign-in.ts";
import { EVERYBODY, type Stage, startStage } from "./stage.ts";
import { type ClientSide, open } from "./stream-clients.ts";

const NOBODY_OF_STAFF = "  - { id: people, effect: allow, apps: [stamps, other], when: { group: [contractors] } }";
/** A lease that nothing renewed is over after this long (M9), and a lane without bodies sleeps after 10 s. */
const LEASES_OVER_MS = 31_000;

let stage: Stage;

/** Sockets that say nothing after their first message. */
async function quietSockets(user: string, count: number): Promise<readonly ClientSide[]> {
  const person = await signIn(stage.other, user);
  const clients: ClientSide[] = [];
  for (let n = 0; n < count; n++) {
    const one = await open("websocket", { port: stage.stack.port, headers: person.headers(stage.other), name: `quiet-${user}-${n}`, query: "&quiet" });
    if (!one.ok) throw new Error(`refused: ${one.status}`);
    clients.push(one.client);
  }
  return clients;
}

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

describe("a quiet WebSocket", () => {
  it("whose lease is over ends with the receipt all the same, for a revocation and for an apply (M3, M7)", async () => {
    const alice = await quietSockets("alice", 5);
    const bob = await quietSockets("bob", 5);
    await new Promise((wake) => setTimeout(wake, LEASES_OVER_MS));
    expect([...alice, ...bob].filter((client) => client.endedAt !== undefined)).toEqual([]);
    const revoked = await stage.operator.revoke("user", "bob@partner.example.com");
    expect(revoked).toMatchObject({ found: 5, closed: 5, complete: true, kept: 0, frozen: 0, unconfirmed: [] });
    await until(() => bob.every((client) => client.end === "4401"), "bob's sockets ended", 1_000);
    const applied = await stage.operator.apply(stage.document(NOBODY_OF_STAFF));
    expect(applied.receipt).toMatchObject({ found: 5, closed: 5, complete: true, kept: 0, frozen: 0, unconfirmed: [] });
    await until(() => alice.every((client) => client.end === "4403"), "alice's sockets ended", 1_000);
  }, 60_000);
});
