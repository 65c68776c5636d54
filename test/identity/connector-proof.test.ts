import { beforeAll, describe, expect, it } from "vitest";
import { toBase64Url } from "../../core/bytes.ts";
import { parseSiteId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import {
  deriveStreamMacKey,
  generateAgreementKey,
  generateConnectorKey,
  importStreamMacKey,
  LANE_CLOCK_TOLERANCE_MS,
  parseConnectorKey,
  signHello,
  signLaneWelcome,
  thumbprint,
  transcriptHash,
  verifyHello,
  verifyLaneWelcome,
} from "../../identity/connector-proof.ts";
import type { ConnectorKey, LaneWelcome } from "../../identity/connector-proof.ts";
import { newKeyRing, publicKeySet } from "../../identity/keys.ts";
import type { KeyRing } from "../../identity/keys.ts";
import { START } from "./fake-provider.ts";

const { subtle } = crypto;
const transcript = new TextEncoder().encode("hello, both halves");
let key: ConnectorKey;
let other: ConnectorKey;
let ring: KeyRing;
beforeAll(async () => {
  key = await generateConnectorKey(subtle);
  other = await generateConnectorKey(subtle);
  ring = await newKeyRing("admission", START, subtle);
});

describe("the connector's half (M17, class L)", () => {
  it("a thumbprint is RFC 7638's (RFC 8037, appendix A.3)", async () => {
    const jwk = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
    expect(await thumbprint(jwk)).toBe("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    expect(await thumbprint({ ...jwk, crv: "X25519" })).toBeUndefined();
  });
  it("a stored key comes back whole, and a public one is none", async () => {
    expect(await parseConnectorKey(JSON.parse(JSON.stringify(key.privateJwk)))).toEqual(key);
    expect(await parseConnectorKey(key.publicJwk)).toBeUndefined();
    expect(await parseConnectorKey({ ...key.privateJwk, d: "short" })).toBeUndefined();
  });
  it("its signature proves this transcript and this key only", async () => {
    const signature = await signHello(transcript, key);
    expect(await verifyHello(transcript, signature, key.publicJwk)).toBe(true);
    expect(await verifyHello(transcript.slice(1), signature, key.publicJwk)).toBe(false);
    expect(await verifyHello(transcript, signature, other.publicJwk)).toBe(false);
    for (const spoilt of ["", `${signature}=`, signature.slice(1), "A".repeat(86), "x".repeat(100_000)]) {
      expect(await verifyHello(transcript, spoilt, key.publicJwk)).toBe(false);
    }
  });
  it("a signature made by the same key for another purpose is no hello", async () => {
    const { d, x, kty, crv } = key.privateJwk;
    const signing = await subtle.importKey("jwk", { d, x, kty, crv }, { name: "Ed25519" }, false, ["sign"]);
    const bare = toBase64Url(new Uint8Array(await subtle.sign("Ed25519", signing, transcript)));
    expect(await verifyHello(transcript, bare, key.publicJwk)).toBe(false);
  });
});

describe("the lane's half (M17)", () => {
  const berlin = parseSiteId("berlin");
  if (berlin === undefined) throw new Error("test site");
  const welcome = async (): Promise<LaneWelcome> => ({ transcript: toBase64Url(await transcriptHash(transcript)), site: berlin, lane: 2 });

  it.each([
    [0, "ok"],
    [-60_000, "ok"],
    [LANE_CLOCK_TOLERANCE_MS, "ok"],
    [LANE_CLOCK_TOLERANCE_MS + 1_000, "clock_wrong"],
    [-LANE_CLOCK_TOLERANCE_MS - 1_000, "clock_wrong"],
  ])("measures a connector clock %i ms off: %s", async (offset, expected) => {
    const jws = await signLaneWelcome(await welcome(), ring.current, START);
    const result = await verifyLaneWelcome(jws, publicKeySet(ring), await welcome(), at(START + offset));
    expect(result.ok ? "ok" : result.error).toBe(expected);
    if (result.ok) expect(result.value.skewMs).toBe(0 - offset);
  });
  it.each<[string, Partial<LaneWelcome>]>([
    ["another hello", { transcript: "A".repeat(43) }],
    ["another lane", { lane: 3 }],
  ])("a welcome for %s is refused", async (_, change) => {
    const jws = await signLaneWelcome({ ...(await welcome()), ...change }, ring.current, START);
    const result = await verifyLaneWelcome(jws, publicKeySet(ring), await welcome(), START);
    expect(result).toEqual({ ok: false, error: "not_for_us" });
  });
  it("a welcome under a key of somebody else is refused", async () => {
    const stranger = await newKeyRing("admission", START, subtle);
    const jws = await signLaneWelcome(await welcome(), stranger.current, START);
    expect(await verifyLaneWelcome(jws, publicKeySet(ring), await welcome(), START)).toEqual({ ok: false, error: "unknown_key" });
  });
});

describe("the stream MAC key (M17)", () => {
  it("both sides derive the same bytes, for this transcript only", async () => {
    const a = await generateAgreementKey(subtle);
    const b = await generateAgreementKey(subtle);
    const hash = await transcriptHash(transcript);
    const one = await deriveStreamMacKey(a.privateKey, b.publicKey, hash);
    const two = await deriveStreamMacKey(b.privateKey, a.publicKey, hash);
    expect(one).toHaveLength(32);
    expect(one).toEqual(two);
    expect(await deriveStreamMacKey(a.privateKey, b.publicKey, await transcriptHash(transcript.slice(1)))).not.toEqual(one);
    if (one === undefined || two === undefined) throw new Error("no key");
    const mac = await subtle.sign("HMAC", await importStreamMacKey(one), transcript);
    expect(await subtle.verify("HMAC", await importStreamMacKey(two), mac, transcript)).toBe(true);
  });
  it.each([
    ["zero, a point of low order (RFC 7748 §6.1)", "A".repeat(43)],
    ["one, a point of low order", `AQ${"A".repeat(41)}`],
    ["31 bytes", "A".repeat(42)],
    ["padding", `${"A".repeat(43)}=`],
    ["nothing", ""],
    ["100,000 characters", "A".repeat(100_000)],
  ])("a peer that sends %s gets no key", async (_, peer) => {
    const own = await generateAgreementKey(subtle);
    expect(await deriveStreamMacKey(own.privateKey, peer, await transcriptHash(transcript))).toBeUndefined();
  });
});
