import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it } from "vitest";
import type { AppId, SessionId, SiteId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { KEY_TURN_MS } from "../../durable-objects/signer/signer.ts";
import { KEY_ANNOUNCEMENT_MS, type KeyRing, type PublicJwk } from "../../identity/keys.ts";
import { objects, stubs, wipe } from "./deployment.ts";

// A stub does not outlive a reset.
const signer = (): ReturnType<typeof objects.SIGNER.getByName> => objects.SIGNER.getByName("signer/0");
const stub = (): DurableObjectStub => stubs.SIGNER.getByName("signer/0");
const CLAIMS = {
  sid: "a".repeat(64) as SessionId,
  app: "wiki" as AppId,
  site: "berlin" as SiteId,
  epoch: 1,
  policyVersion: 1,
  connector: "t".repeat(43),
  issuer: "https://access.example.com",
  assert: true,
  user: { sub: "ann" },
};

afterEach(() => wipe());

const kids = (keys: readonly PublicJwk[]): string[] => keys.map((one) => one.kid);
const ringOf = (use: "assertion" | "admission"): Promise<KeyRing | undefined> => runInDurableObject(stub(), async (_signer, state) => state.storage.kv.get<KeyRing>(`ring:${use}`));
/** As if a month had passed since the keys were made. */
const age = (): Promise<void> =>
  runInDurableObject(stub(), async (_signer, state) => {
    for (const use of ["assertion", "admission"] as const) {
      const ring = state.storage.kv.get<KeyRing>(`ring:${use}`);
      if (ring === undefined) throw new Error("no ring");
      const back = <T extends { createdAt: number }>(key: T): T => ({ ...key, createdAt: at(key.createdAt - KEY_TURN_MS) });
      state.storage.kv.put(`ring:${use}`, { ...ring, current: back(ring.current), next: back(ring.next) });
    }
  });

describe("signing keys (M17)", () => {
  it("are made once, however many ask first, and survive a sleep", async () => {
    const all = await Promise.all(Array.from({ length: 10 }, () => signer().publicKeys()));
    expect(new Set(all.map((one) => JSON.stringify(one))).size).toBe(1);
    expect(all[0]).toHaveLength(4);
    await evictDurableObject(stub());
    expect(await signer().publicKeys()).toEqual(all[0]);
  });

  it("never show their secret half", async () => {
    expect(JSON.stringify(await signer().publicKeys())).not.toContain('"d"');
    expect(JSON.stringify(await signer().admit(CLAIMS))).not.toContain((await ringOf("admission"))?.current.privateJwk.d);
  });

  it("turn by the alarm: what was announced signs, the old one still verifies, a new one is announced", async () => {
    const before = await signer().publicKeys();
    const ring = await ringOf("admission");
    const signedBefore = await signer().admit(CLAIMS);
    await evictDurableObject(stub());
    await age();
    expect(await runDurableObjectAlarm(stub())).toBe(true);
    const after = await signer().publicKeys();
    const turned = await ringOf("admission");
    expect(turned?.current.kid).toBe(ring?.next.kid);
    expect(turned?.previous?.kid).toBe(ring?.current.kid);
    expect(kids(before)).not.toContain(turned?.next.kid);
    expect(kids(after)).toEqual(expect.arrayContaining([...kids(before), turned?.next.kid]));
    const signedAfter = await signer().admit(CLAIMS);
    for (const { admission } of [signedBefore, signedAfter]) {
      expect(JSON.parse(atob(admission.split(".")[0]?.replaceAll("-", "+").replaceAll("_", "/") ?? ""))).toMatchObject({ kid: admission === signedAfter.admission ? ring?.next.kid : ring?.current.kid });
    }
  });

  it("do not turn before the next one was announced for long enough, however often the alarm fires", async () => {
    await signer().publicKeys();
    const ring = await ringOf("admission");
    await runDurableObjectAlarm(stub());
    await runDurableObjectAlarm(stub());
    expect((await ringOf("admission"))?.current.kid).toBe(ring?.current.kid);
    expect(KEY_ANNOUNCEMENT_MS).toBeLessThan(KEY_TURN_MS);
  });

  it("the alarm is set again for the next turn", async () => {
    await signer().publicKeys();
    await runDurableObjectAlarm(stub());
    const next = await runInDurableObject(stub(), (_signer, state) => state.storage.getAlarm());
    expect(next).toBeGreaterThan(Date.now() + KEY_TURN_MS - 60_000);
  });
});
