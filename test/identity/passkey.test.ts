/** Passkeys: what counts as a new one and as the use of one, by an authenticator that lies (class I, M19). The same answers from the library whole and as the edge has it: test/worker-pure/left-out.test.ts. */
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newPasskey, passkeyUse } from "../../identity/passkey.ts";
import { type Asked, type Lies, SoftwareAuthenticator } from "./software-authenticator.ts";

const PLACE = { origin: "https://access.example.com", rpId: "access.example.com" };
const asked = (challenge = randomBytes(32).toString("base64url")): Asked => ({ ...PLACE, challenge });
/** Gives a challenge up when it is asked about, as the person's object does. */
function open(...challenges: string[]): (challenge: string) => boolean {
  const waiting = new Set(challenges);
  return (challenge) => waiting.delete(challenge);
}

async function registered(kind?: "ES256" | "RS256") {
  const authenticator = new SoftwareAuthenticator(kind);
  const one = asked();
  const key = await newPasskey(authenticator.create(one), PLACE, open(one.challenge));
  if (key === undefined) throw new Error("not registered");
  return { authenticator, key };
}

/** Each is a way in which a ceremony is not the one that was asked for. */
const LIES: readonly [string, Lies][] = [
  ["another origin", { origin: "https://evil.example" }],
  ["a sibling app's origin", { origin: "https://wiki.access.example.com" }],
  ["http instead", { origin: "http://access.example.com" }],
  ["the origin with a port", { origin: "https://access.example.com:8443" }],
  ["another host's key", { rpId: "example.com" }],
  ["nobody verified", { verified: false }],
  ["nobody there", { present: false }],
];

describe("a new passkey", () => {
  it.each(["ES256", "RS256"] as const)("of %s is taken, with its counter", async (kind) => {
    const { authenticator, key } = await registered(kind);
    expect(key).toMatchObject({ id: Buffer.from(authenticator.id).toString("base64url"), counter: 1, kind: "hwk" });
  });

  it("that may be backed up is no hardware key (RFC 8176)", async () => {
    const one = asked();
    expect((await newPasskey(new SoftwareAuthenticator().create(one, { backedUp: true }), PLACE, open(one.challenge)))?.kind).toBe("swk");
  });

  it("may bring extensions, as authenticators do unasked", async () => {
    const one = asked();
    expect(await newPasskey(new SoftwareAuthenticator().create(one, { extensions: new Map([["credProtect", 2]]) }), PLACE, open(one.challenge))).toBeDefined();
  });

  it.each([
    ...LIES,
    ["the answer of a use", { type: "webauthn.get" }],
    ["an algorithm that was not asked for", { alg: -8 }],
    ["an attestation of none with a statement", { attStmt: new Map([["x", 1]]) }],
    ["an attestation format that nobody knows", { fmt: "own" }],
    ...["fido-u2f", "packed", "android-safetynet", "android-key", "tpm", "apple"].map((fmt): [string, Lies] => [`the attestation format ${fmt}`, { fmt }]),
  ] satisfies [string, Lies][])("is refused: %s", async (_name, lies) => {
    const one = asked();
    expect(await newPasskey(new SoftwareAuthenticator().create(one, lies), PLACE, open(one.challenge))).toBeUndefined();
  });

  it("with another attestation than none is refused, true as it may be", async () => {
    const one = asked();
    expect(await newPasskey(new SoftwareAuthenticator().createPacked(one), PLACE, open(one.challenge))).toBeUndefined();
  });

  it("is refused for a challenge that nobody gave, and the second time", async () => {
    const one = asked();
    const answer = new SoftwareAuthenticator().create(one);
    const spend = open(one.challenge);
    expect(await newPasskey(answer, PLACE, open("another"))).toBeUndefined();
    expect(await newPasskey(answer, PLACE, spend)).toBeDefined();
    expect(await newPasskey(answer, PLACE, spend)).toBeUndefined();
  });
});

describe("the use of a passkey", () => {
  it.each(["ES256", "RS256"] as const)("of %s counts, each time", async (kind) => {
    const { authenticator, key } = await registered(kind);
    for (const counter of [2, 3]) {
      const one = asked();
      expect(await passkeyUse(authenticator.get(one), key, PLACE, open(one.challenge))).toBe(counter);
    }
  });

  it("many times over: numbers of any length in a signature are read", async () => {
    const { authenticator, key } = await registered();
    for (let round = 0; round < 600; round++) {
      const one = asked();
      expect(await passkeyUse(authenticator.get(one), key, PLACE, open(one.challenge))).toBe(round + 2);
    }
  });

  it.each([...LIES, ["the answer of a registration", { type: "webauthn.create" }]] satisfies [string, Lies][])("is refused: %s", async (_name, lies) => {
    const { authenticator, key } = await registered();
    const one = asked();
    expect(await passkeyUse(authenticator.get(one, lies), key, PLACE, open(one.challenge))).toBeUndefined();
  });

  it("is refused for another key, for another challenge, and the second time", async () => {
    const [{ authenticator, key }, other] = [await registered(), await registered()];
    const one = asked();
    const answer = authenticator.get(one);
    expect(await passkeyUse(answer, other.key, PLACE, open(one.challenge))).toBeUndefined();
    expect(await passkeyUse(answer, key, PLACE, open("another"))).toBeUndefined();
    const spend = open(one.challenge);
    expect(await passkeyUse(answer, key, PLACE, spend)).toBe(2);
    expect(await passkeyUse(answer, key, PLACE, spend)).toBeUndefined();
  });

  it("is refused when any byte of it is another", async () => {
    const { authenticator, key } = await registered();
    const one = asked();
    const answer = authenticator.get(one);
    // Of a signature's frame the edge's own reader is stricter than the whole library's (left-out.test.ts).
    for (const field of ["clientDataJSON", "authenticatorData"]) {
      const bytes = Buffer.from(String(answer.response[field]), "base64url");
      for (let i = 0; i < bytes.length; i++) {
        const changed = Buffer.from(bytes);
        changed[i] = (changed[i] ?? 0) ^ 1;
        const forged = { ...answer, response: { ...answer.response, [field]: changed.toString("base64url") } };
        expect(await passkeyUse(forged, key, PLACE, open(one.challenge)), `${field} ${i}`).toBeUndefined();
      }
    }
  });
});

describe("what is no answer at all", () => {
  it("is refused, whatever it is, and nothing throws", async () => {
    const { authenticator, key } = await registered();
    const one = asked();
    const good = { create: authenticator.create(one), get: authenticator.get(one) };
    const broken = fc.oneof(
      fc.jsonValue(),
      fc.record({ field: fc.constantFrom("id", "rawId", "type", "response"), value: fc.jsonValue() }).map(({ field, value }) => ({ ...good.create, [field]: value })),
      fc.record({ field: fc.constantFrom("clientDataJSON", "attestationObject", "authenticatorData", "signature"), value: fc.oneof(fc.jsonValue(), fc.base64String(), fc.uint8Array().map((bytes) => Buffer.from(bytes).toString("base64url"))) }).chain(({ field, value }) =>
        fc.constantFrom(good.create, good.get).map((answer) => ({ ...answer, response: { ...answer.response, [field]: value } }))),
    );
    await fc.assert(
      fc.asyncProperty(broken, async (answer) => {
        const made = await newPasskey(answer, PLACE, () => true);
        expect(made === undefined || JSON.stringify(answer).includes(String(good.create.response["attestationObject"]))).toBe(true);
        const used = await passkeyUse(answer, key, PLACE, () => true);
        expect(used === undefined || JSON.stringify(answer).includes(String(good.get.response["signature"]))).toBe(true);
      }),
      { numRuns: 500 },
    );
    for (const answer of [undefined, null, 1, "x", [], {}, { response: null }]) expect([await newPasskey(answer, PLACE, () => true), await passkeyUse(answer, key, PLACE, () => true)]).toEqual([undefined, undefined]);
  });
});
