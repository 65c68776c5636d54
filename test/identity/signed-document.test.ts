import { beforeAll, describe, expect, it } from "vitest";
import { parseSiteId } from "../../core/ids.ts";
import { after } from "../../core/time.ts";
import { generateSigningKey, KEY_ANNOUNCEMENT_MS, newKeyRing, publicKeySet, turnKeyRing } from "../../identity/keys.ts";
import type { KeyRing } from "../../identity/keys.ts";
import {
  acceptKeySet,
  acceptKeySetChain,
  readFirstKeySet,
  signKeySet,
  signSiteConfig,
  verifySiteConfig,
} from "../../identity/signed-document.ts";
import type { SignedKeySet } from "../../identity/signed-document.ts";
import { START } from "./fake-provider.ts";

const { subtle } = crypto;
const site = parseSiteId("berlin");
if (site === undefined) throw new Error("test site");
let ring: KeyRing;
let stranger: KeyRing;
beforeAll(async () => {
  ring = await newKeyRing("admission", START, subtle);
  stranger = await newKeyRing("admission", START, subtle);
});
const setOf = (version: number, ...rings: KeyRing[]): SignedKeySet => ({ version, keys: publicKeySet(...rings).keys });
const code = (result: { ok: true } | { ok: false; error: string }): string => (result.ok ? "ok" : result.error);
async function turn(from: KeyRing): Promise<KeyRing> {
  const now = after(from.next.createdAt, KEY_ANNOUNCEMENT_MS);
  const turned = turnKeyRing(from, await generateSigningKey("admission", now, subtle), now);
  if (!turned.ok) throw new Error(turned.error);
  return turned.value;
}

describe("site configurations (class L)", () => {
  const config = { apps: [{ id: "wiki", upstream: "http://10.0.0.5:8080" }] };
  it.each([
    [4, "ok"],
    [5, "ok"],
    [6, "older_version"],
  ])("version 5 where %i is the least: %s", async (minimumVersion, expected) => {
    const jws = await signSiteConfig({ site, version: 5, config }, ring.current, START);
    const result = await verifySiteConfig(jws, publicKeySet(ring), { site, minimumVersion });
    expect(code(result)).toBe(expected);
    if (result.ok) expect(result.value).toEqual({ site, version: 5, config });
  });
  it("another site's, a stranger's, or a key set in its place is refused", async () => {
    const paris = parseSiteId("paris");
    if (paris === undefined) throw new Error("test site");
    const expected = { site, minimumVersion: 0 };
    const foreign = await signSiteConfig({ site: paris, version: 1, config }, ring.current, START);
    expect(code(await verifySiteConfig(foreign, publicKeySet(ring), expected))).toBe("not_for_us");
    const forged = await signSiteConfig({ site, version: 1, config }, stranger.current, START);
    expect(code(await verifySiteConfig(forged, publicKeySet(ring), expected))).toBe("unknown_key");
    const keys = await signKeySet(setOf(1, ring), ring.current, START);
    expect(code(await verifySiteConfig(keys, publicKeySet(ring), expected))).toBe("header_refused");
  });
});

describe("key sets vouch for their successors (M17)", () => {
  it("the first set signs itself, and a set signed by a key outside it does not", async () => {
    const first = await readFirstKeySet(await signKeySet(setOf(1, ring), ring.current, START));
    expect(first).toEqual({ ok: true, value: setOf(1, ring) });
    expect(code(await readFirstKeySet(await signKeySet(setOf(1, ring), stranger.current, START)))).toBe("unknown_key");
    for (const text of ["", "a.b.c", ".".repeat(100)]) expect((await readFirstKeySet(text)).ok).toBe(false);
  });
  it("a successor counts only under a key of the known set", async () => {
    const known = setOf(1, ring);
    const turned = await turn(ring);
    expect(code(await acceptKeySet(known, await signKeySet(setOf(2, turned), turned.current, START)))).toBe("ok");
    expect(code(await acceptKeySet(known, await signKeySet(setOf(2, stranger), stranger.current, START)))).toBe("unknown_key");
    const mixed = await signKeySet(setOf(2, ring, stranger), stranger.current, START);
    expect(code(await acceptKeySet(known, mixed))).toBe("unknown_key");
  });
  it("an older set cannot come back, and one version has one set of keys", async () => {
    const known = setOf(5, ring);
    expect(code(await acceptKeySet(known, await signKeySet(setOf(4, ring), ring.current, START)))).toBe("older_version");
    expect(code(await acceptKeySet(known, await signKeySet(setOf(5, ring), ring.current, START)))).toBe("ok");
    const differs = await signKeySet(setOf(5, ring, stranger), ring.current, START);
    expect(code(await acceptKeySet(known, differs))).toBe("same_version_differs");
  });
  it("a connector that missed four turns follows the chain, and not its end alone", async () => {
    let at = ring;
    const chain: string[] = [];
    for (let version = 2; version <= 5; version++) {
      at = await turn(at);
      chain.push(await signKeySet(setOf(version, at), at.current, START));
    }
    expect(await acceptKeySetChain(setOf(1, ring), chain)).toEqual({ ok: true, value: setOf(5, at) });
    expect(code(await acceptKeySetChain(setOf(1, ring), chain.slice(-1)))).toBe("unknown_key");
    expect(code(await acceptKeySetChain(setOf(1, ring), chain.toReversed()))).toBe("unknown_key");
  });
});
