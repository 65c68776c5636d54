/** What is said of a person reaches every session of theirs, also one that lasts longer than it began with, or that changes while it is asked. */
import { abortAllDurableObjects } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { AppId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import type { LeaseQuestion } from "../../durable-objects/session/rpc.ts";
import { Signer } from "../../durable-objects/signer/signer.ts";
import { BERLIN, cookieOf, ISSUER, objects, randomText, sessionOf, setUp, signedIn, signInOf, userId, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";

beforeEach(() => setUp());
afterEach(wipe);

const HOUR = 3_600_000;
const question: LeaseQuestion = { v: 1, site: BERLIN, lane: 0, nonce: "n", holds: "body", app: "wiki" as AppId, connector: randomText(32), policyVersion: 1, issuer: ISSUER, lastActiveAt: 0, usedBytes: 0, requests: 0, recorded: true, connection: {} };
const personOf = (n = 0): ReturnType<typeof objects.USER.getByName> => objects.USER.getByName(userId(n));

describe("a session that a newer sign-in renewed", () => {
  it("is ended with its person, whatever signed in after its first end", async () => {
    const now = Date.now();
    const first = await signedIn(userId(), { endsAt: now + 300 });
    const { facts, display } = signInOf(userId());
    expect(await personOf().renew(first, { attemptStartedAt: now, endsAt: now + 8 * HOUR })).toBe(true);
    expect(await sessionOf(first).refresh({ facts, display, endsAt: now + 8 * HOUR }, cookieOf("crm", "x".repeat(43)))).toBe(true);
    await eventually(() => Date.now() > now + 400);
    const second = await signedIn();
    expect(await personOf().sessions()).toEqual([first, second]);
    const done = await objects.CONTROL.getByName("control").revoke({ kind: "user", id: userId(), by: "internal" });
    expect(done).toMatchObject({ ok: true, receipt: { complete: true } });
    expect([await sessionOf(first).isLive(), await sessionOf(second).isLive()]).toEqual([false, false]);
  });

  it("is not renewed for somebody else, nor by an attempt from before a revocation", async () => {
    const now = Date.now();
    const sid = await signedIn();
    expect(await personOf(1).renew(sid, { attemptStartedAt: now, endsAt: now + HOUR })).toBe(false);
    await objects.CONTROL.getByName("control").revoke({ kind: "user", id: userId(), by: "internal" });
    expect(await personOf().renew(sid, { attemptStartedAt: now, endsAt: now + HOUR })).toBe(false);
  });
});

describe("a person with many sessions", () => {
  it("is revoked with all of them, each woken for it, and nobody else is", async () => {
    const sids = await Promise.all(Array.from({ length: 50 }, () => signedIn()));
    const [used, other] = [sids.slice(0, 5), await signedIn(userId(1))];
    for (const sid of used) expect(await sessionOf(sid).lease(question)).toMatchObject({ ok: true });
    await abortAllDurableObjects();
    const done = await objects.CONTROL.getByName("control").revoke({ kind: "user", id: userId(), by: "internal" });
    expect(done).toMatchObject({ ok: true, receipt: { complete: true, report: { unconfirmed: [] } } });
    const ends = await Promise.all(sids.map(async (sid) => (await sessionOf(sid).describe())?.ended));
    expect(ends).toEqual(sids.map(() => "revoked"));
    expect(await personOf().sessions()).toEqual([]);
    expect(await sessionOf(other).isLive()).toBe(true);
  });
});

describe("a session that is told something while a lane asks it", () => {
  const groups = (value: string[]) => ({ groups: { value, source: "corp", observedAt: at(Date.now()) } });

  it("has the assertion for the app signed anew: it never names what the newest facts do not (M1)", async () => {
    const sid = await signedIn(userId(), { facts: { provider: { value: "corp", source: "corp", observedAt: at(0) }, groups: { value: ["corp:admins"], source: "corp", observedAt: at(0) } } });
    const signed: unknown[] = [];
    const { value: real } = Object.getOwnPropertyDescriptor(Signer.prototype, "admit") as { value: Signer["admit"] };
    vi.spyOn(Signer.prototype, "admit").mockImplementation(async function (this: Signer, asked) {
      const answer = await real.call(this, asked);
      signed.push(asked.user.groups);
      await personOf().observe(groups([]), Date.now());
      return answer;
    });
    expect(await sessionOf(sid).lease(question)).toMatchObject({ ok: true, snapshot: { facts: { groups: { value: [] } } } });
    expect(signed).toEqual([["corp:admins"], []]);
  });
});
