import { SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import { type EventSource, readSecurityEvents } from "../../identity/security-event.ts";
import { FakeProvider, newSigner, START } from "./fake-provider.ts";

const CAEP = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC = "https://schemas.openid.net/secevent/risc/event-type/";
const idp = new FakeProvider(await newSigner("k"));
const source: EventSource = { id: "feed", issuer: "https://ssf.example.com", jwksUri: "https://idp.example.com/jwks", audience: ["https://access.example.com/.postern/ssf/feed"], provider: { id: "corp", issuer: "https://idp.example.com", groupsClaim: "groups" } };
const seconds = START / 1_000;
const ALICE = { format: "iss_sub", iss: "https://idp.example.com", sub: "alice" };
const GOOD = { iss: source.issuer, aud: source.audience, iat: seconds, jti: "j1", sub_id: ALICE, events: { [`${CAEP}session-revoked`]: {} } };

async function read(claims: Record<string, unknown>, header: Record<string, unknown> = {}, from = source): Promise<unknown> {
  const result = await readSecurityEvents(await idp.mint({ ...GOOD, ...claims }, { typ: "secevent+jwt", ...header }), from, idp.io);
  return result.ok ? result.value.statements : `${result.error.code} ${result.error.cause}`;
}
const of = (type: string, payload: object, from = source): Promise<unknown> => read({ events: { [type]: payload } }, {}, from);
const alice = { sub: "alice" };
const facts = (all: object): object => ({ kind: "facts", facts: all, at: START });

describe("an event says what no longer holds (CAEP, RISC)", () => {
  it.each<[string, object, object]>([
    [`${CAEP}session-revoked`, { reason_admin: { en: "x" } }, { kind: "end" }],
    [`${RISC}account-disabled`, { reason: "hijacking" }, { kind: "end" }],
    [`${CAEP}credential-change`, { credential_type: "fido2-roaming", change_type: "revoke" }, facts({ mfa: null })],
    [`${CAEP}credential-change`, { credential_type: "password", change_type: "update" }, facts({ mfa: null })],
    [`${CAEP}credential-change`, {}, facts({ mfa: null })],
    [`${CAEP}assurance-level-change`, { current_level: "nist-aal1", change_direction: "decrease" }, facts({ mfa: null })],
    [`${CAEP}assurance-level-change`, { current_level: "nist-aal1" }, facts({ mfa: null })],
    [`${RISC}account-credential-change-required`, {}, facts({ mfa: null, auth: null })],
    [`${CAEP}device-compliance-change`, { current_status: "not-compliant" }, facts({ "device.compliant": { value: false, source: "posture:feed", observedAt: START } })],
    [`${CAEP}device-compliance-change`, { current_status: "compliant" }, facts({ "device.compliant": { value: true, source: "posture:feed", observedAt: START } })],
    [`${CAEP}device-compliance-change`, {}, facts({ "device.compliant": { value: false, source: "posture:feed", observedAt: START } })],
    [`${CAEP}token-claims-change`, { claims: { groups: ["staff"] } }, facts({ groups: { value: ["corp:staff"], source: "corp", observedAt: START } })],
    [`${CAEP}token-claims-change`, { claims: { groups: [] } }, facts({ groups: { value: [], source: "corp", observedAt: START } })],
    [`${CAEP}token-claims-change`, { claims: { groups: "staff" } }, facts({ groups: null })],
  ])("%s %j", async (type, payload, effect) => {
    expect(await of(type, payload)).toEqual([{ name: type.split("/").at(-1), named: alice, effect }]);
  });

  it.each<[string, object]>([
    [`${CAEP}credential-change`, { change_type: "create" }],
    [`${CAEP}assurance-level-change`, { change_direction: "increase" }],
    [`${CAEP}token-claims-change`, { claims: { role: "ro-admin" } }],
    [`${CAEP}token-claims-change`, {}],
    ["https://schemas.openid.net/secevent/ssf/event-type/verification", { state: "abc" }],
    [`${CAEP}session-established`, {}],
    ["https://evil.example/secevent/caep/event-type/session-revoked", {}],
  ])("%s %j takes nothing away", async (type, payload) => expect(await of(type, payload)).toEqual([]));

  it("a directory's groups come from the directory", async () => {
    const from = { ...source, provider: { ...source.provider, scim: {} } };
    expect(await of(`${CAEP}token-claims-change`, { claims: { groups: ["admins"] } }, from)).toEqual([]);
  });

  it("several events of one token are several statements", async () => {
    expect(await read({ events: { [`${CAEP}session-revoked`]: {}, [`${CAEP}credential-change`]: { change_type: "delete" } } })).toHaveLength(2);
  });
});

describe("whom it names (RFC 9493)", () => {
  it.each<[string, object, object]>([
    ["iss_sub", ALICE, alice],
    ["a draft's iss-sub", { subject_type: "iss-sub", iss: ALICE.iss, sub: "alice" }, alice],
    ["opaque", { format: "opaque", id: "alice" }, alice],
    ["email", { format: "email", email: "Alice@Example.com" }, { email: "alice@example.com" }],
    ["account", { format: "account", uri: "acct:alice@example.com" }, { email: "alice@example.com" }],
    ["complex: user", { format: "complex", user: ALICE }, alice],
    ["complex: user and session", { format: "complex", user: ALICE, session: { format: "opaque", id: "s1" } }, { sub: "alice", providerSession: "s1" }],
    ["complex: session alone", { format: "complex", session: { format: "opaque", id: "s1" } }, { providerSession: "s1" }],
    ["complex: user and device", { format: "complex", user: ALICE, device: { format: "opaque", id: "d1" }, tenant: { format: "opaque", id: "t" } }, { sub: "alice", device: "d1" }],
    ["a complex one without its format", { user: ALICE }, alice],
  ])("%s", async (_, subject, named) => expect(await read({ sub_id: subject })).toMatchObject([{ named }]));

  it("within the event, as drafts had it", async () => {
    expect(await read({ sub_id: undefined, events: { [`${CAEP}session-revoked`]: { subject: ALICE } } })).toMatchObject([{ named: alice }]);
  });

  it.each<[string, unknown]>([
    ["another issuer's person (foreign subject, row 101)", { ...ALICE, iss: "https://other.example.com" }],
    ["another issuer's person within a complex one", { format: "complex", user: { ...ALICE, iss: "https://other.example.com" }, session: { format: "opaque", id: "s1" } }],
    ["iss_sub without iss", { format: "iss_sub", sub: "alice" }],
    ["iss_sub with a sub that is no text", { ...ALICE, sub: ["alice"] }],
    ["a telephone number", { format: "phone_number", phone_number: "+1" }],
    ["a format that nobody knows", { format: "toString", id: "alice" }],
    ["an empty complex one", { format: "complex" }],
    ["a list", [ALICE]],
    ["nobody", undefined],
  ])("%s is refused", async (_, subject) => expect(await read({ sub_id: subject })).toBe("token_invalid subject"));
});

describe("a token that is none has no effect (row 101)", () => {
  it.each<[string, Record<string, unknown>, string]>([
    ["another issuer", { iss: "https://other.example.com" }, "token_invalid invalid_issuer"],
    ["the provider's own issuer", { iss: "https://idp.example.com" }, "token_invalid invalid_issuer"],
    ["another audience", { aud: "https://other.example.com" }, "token_invalid invalid_audience"],
    ["an audience beside ours", { aud: [...source.audience, "other"] }, "token_invalid invalid_audience"],
    ["no jti", { jti: undefined }, "token_invalid jti"],
    ["no events", { events: undefined }, "token_invalid events"],
    ["seventeen events", { events: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`e${i}`, {}])) }, "token_invalid events"],
    ["an iat in the future", { iat: seconds + 3_600 }, "clock_wrong token from the future"],
    ["an iat of last week", { iat: seconds - 7 * 86_400 }, "clock_wrong token expired"],
    ["no iat", { iat: undefined }, "token_invalid exp, iat or nbf is missing or not a date"],
  ])("%s", async (_, claims, expected) => expect(await read(claims)).toBe(expected));

  it.each([undefined, "JWT", "logout+jwt", "at+jwt"])("of type %s", async (typ) => expect(await read({}, { typ })).toBe("token_invalid typ refused"));

  it("under HMAC with the public key as secret (row 43)", async () => {
    const token = await new SignJWT({ ...GOOD, aud: [...GOOD.aud] }).setProtectedHeader({ alg: "HS256", typ: "secevent+jwt", kid: "k" }).sign(new TextEncoder().encode(JSON.stringify(idp.signer.jwk)));
    expect(await readSecurityEvents(token, source, idp.io)).toMatchObject({ ok: false, error: { cause: "algorithm refused" } });
  });

  it("signed by somebody else", async () => {
    const token = await idp.mint(GOOD, { typ: "secevent+jwt" }, await newSigner("k"));
    expect(await readSecurityEvents(token, source, idp.io)).toMatchObject({ ok: false, error: { cause: "signature" } });
  });

  it.each(["https://10.0.0.1/jwks", "https://metadata.internal/jwks", "http://127.0.0.1/jwks", "https://user@ssf.example.com/jwks", "ftp://ssf.example.com/jwks"])("of a source whose keys would be asked for at %s: nothing is asked (row 95)", async (jwksUri) => {
    const other = new FakeProvider(await newSigner("k"));
    expect(await readSecurityEvents(await other.mint(GOOD, { typ: "secevent+jwt" }), { ...source, jwksUri }, other.io)).toMatchObject({ ok: false, error: { code: "provider_misconfigured" } });
    expect(other.asked).toEqual([]);
  });

  it("while its key set is out of reach, which is not the token's fault", async () => {
    const other = new FakeProvider(await newSigner("k"));
    delete other.answers["/jwks"];
    expect(await readSecurityEvents(await other.mint(GOOD, { typ: "secevent+jwt" }), source, other.io)).toMatchObject({ ok: false, error: { code: "provider_unreachable" } });
  });
});
