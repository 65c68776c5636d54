import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toBase64Url } from "../../core/bytes.ts";
import {
  COOKIE_HEADER_MAX_CHARS,
  COOKIE_MAX_COUNT,
  formatAppBearer,
  formatEnrolmentToken,
  formatOperatorToken,
  formatServiceToken,
  formatSessionToken,
  hashSecret,
  newCredentialId,
  newSecret,
  parseAppBearer,
  parseAuthorization,
  parseEnrolmentToken,
  parseOperatorToken,
  parseServiceToken,
  parseSessionToken,
  readCookie,
} from "../../identity/session-token.ts";
import type { IdentifiedToken, SessionToken } from "../../identity/session-token.ts";
import { parseSessionId } from "../../core/ids.ts";
import { countingRandom } from "./fake-provider.ts";

const random = countingRandom();
const sid = parseSessionId("0123456789abcdef".repeat(4));
if (sid === undefined) throw new Error("test sid");
const session: SessionToken = { sid, secret: newSecret(random) };
const service: IdentifiedToken = { id: newCredentialId(random), secret: newSecret(random) };
const pst = formatServiceToken(service);
const pso = formatOperatorToken(session);
const pab = formatAppBearer(session);
const basic = (user: string, password: string): string => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
const headers = (authorization: string | null, clientId: string | null = null, clientSecret: string | null = null) => ({
  authorization,
  clientId,
  clientSecret,
});

describe("token grammars (class F)", () => {
  const kinds = [
    { name: "session", text: formatSessionToken(session), parse: parseSessionToken },
    { name: "operator", text: pso, parse: parseOperatorToken },
    { name: "app bearer", text: pab, parse: parseAppBearer },
    { name: "service", text: pst, parse: parseServiceToken },
    { name: "enrolment", text: formatEnrolmentToken(service), parse: parseEnrolmentToken },
  ] as const;

  for (const kind of kinds) {
    it(`${kind.name}: what is formatted parses, and no other kind's parser takes it`, () => {
      expect(kind.parse(kind.text)?.secret).toEqual(kind.name === "service" || kind.name === "enrolment" ? service.secret : session.secret);
      for (const other of kinds) if (other !== kind) expect(other.parse(kind.text), other.name).toBeUndefined();
    });
    it.each([
      ["a trailing newline", `${kind.text}\n`],
      ["a leading space", ` ${kind.text}`],
      ["padding", `${kind.text}=`],
      ["one character less", kind.text.slice(0, -1)],
      ["unused bits set", kind.text.slice(0, -1) + (kind.text.endsWith("B") ? "C" : "B")],
      ["upper-case hex or prefix", kind.text.toUpperCase()],
      ["600 characters", kind.text + "A".repeat(600)],
      ["a second dot", kind.text.replace(".", "..")],
      ["nothing", ""],
    ])(`${kind.name}: %s is refused`, (_, text) => {
      expect(kind.parse(text)).toBeUndefined();
    });
  }

  it("one secret has one spelling: whatever parses formats back to the same text", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-f]{64}\.[A-Za-z0-9_-]{43}$/), (text) => {
        const parsed = parseSessionToken(text);
        return parsed === undefined || formatSessionToken(parsed) === text;
      }),
    );
  });

  it("a secret is stored as its SHA-256", async () => {
    const abc = new TextEncoder().encode("abc");
    // FIPS 180-2, appendix B.1
    expect(toBase64Url(await hashSecret(abc))).toBe("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
  });
});

describe("Authorization (CONTRACT, signing in without a browser; class F)", () => {
  it.each([
    ["Bearer pst", `Bearer ${pst}`],
    ["bearer in lower case", `bearer ${pst}`],
    ["Basic with the token as password", basic("anything", pst)],
    ["Basic without a user", basic("", pst)],
  ])("%s is a service token and is stripped", (_, value) => {
    expect(parseAuthorization(headers(value))).toEqual({ kind: "service", token: service, stripAuthorization: true });
  });
  it.each([
    ["pso", pso, "operator"],
    ["pab", pab, "app"],
  ])("Bearer %s is a session", (_, token, as) => {
    expect(parseAuthorization(headers(`Bearer ${token}`))).toEqual({ kind: "session", as, token: session, stripAuthorization: true });
  });
  it("the header pair is a service token and leaves a foreign Authorization alone", () => {
    const expected = { kind: "service", token: service, clientId: "ci-deploy", stripAuthorization: false };
    expect(parseAuthorization(headers(null, "ci-deploy", pst))).toEqual(expected);
    expect(parseAuthorization(headers("Bearer eyJhbGciOi", "ci-deploy", pst))).toEqual(expected);
  });
  it.each([
    ["another Bearer", "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln"],
    ["another Basic", basic("alice", "hunter2")],
    ["Basic that is not base64", "Basic ====="],
    ["Digest", 'Digest username="pst"'],
    ["an empty value", ""],
    ["a word that merely begins like ours", "Bearer pst_short"],
  ])("%s is foreign", (_, value) => {
    expect(parseAuthorization(headers(value))).toEqual({ kind: "foreign" });
  });
  it("no header is none", () => expect(parseAuthorization(headers(null))).toEqual({ kind: "none" }));
  it.each([
    ["two joined headers, ours first", headers(`Bearer ${pst}, Basic YTpi`)],
    ["two joined headers, ours second", headers(`Basic YTpi, Bearer ${pst}`)],
    ["ours under another scheme", headers(`Token ${pst}`)],
    ["ours without a scheme", headers(pst)],
    ["ours with a character too many", headers(`Bearer ${pst}x`)],
    ["ours as the Basic user", headers(basic(pst, ""))],
    ["an operator token as a Basic password", headers(basic("x", pso))],
    ["an enrolment token as a bearer", headers(`Bearer ${formatEnrolmentToken(service)}`)],
    ["17,000 characters", headers(`Bearer ${"x".repeat(17_000)}`)],
    ["an id without a secret", headers(null, "ci", null)],
    ["a secret without an id", headers(null, null, pst)],
    ["a pair whose secret is an operator token", headers(null, "ci", pso)],
    ["a pair sent twice", headers(null, "ci, ci", `${pst}, ${pst}`)],
    ["a pair and a bearer of ours", headers(`Bearer ${pst}`, "ci", pst)],
  ])("%s is malformed", (_, value) => {
    expect(parseAuthorization(value)).toEqual({ kind: "malformed" });
  });
});

describe("reading one cookie (class G, M19)", () => {
  const name = "__Host-postern";
  it.each([
    ["alone", `${name}=v`, "v"],
    ["among others", `a=1; ${name}=v; b=2`, "v"],
    ["with an equals sign inside", `${name}=a=b`, "a=b"],
    ["next to a longer name", `${name}-login=x; ${name}=v`, "v"],
    ["without a blank", `a=1;${name}=v`, "v"],
  ])("finds it %s", (_, header, value) => expect(readCookie(header, name)).toEqual({ kind: "found", value }));
  it.each([
    ["no header", null],
    ["another case", "__host-postern=v"],
    ["a Unicode space before the name", `\u00a0${name}=v`],
    ["a prefix of the name", "__Host-poster=v"],
    ["no equals sign", name],
  ])("%s is absent", (_, header) => expect(readCookie(header, name)).toEqual({ kind: "absent" }));
  it("a second one of the name is refused, equal or not", () => {
    expect(readCookie(`${name}=a; ${name}=b`, name)).toEqual({ kind: "refused", reason: "duplicate" });
    expect(readCookie(`${name}=a; x=1; ${name}=a`, name)).toEqual({ kind: "refused", reason: "duplicate" });
  });
  it("a header over the cap or with too many cookies is refused", () => {
    expect(readCookie(`x=${"a".repeat(COOKIE_HEADER_MAX_CHARS)}`, name)).toEqual({ kind: "refused", reason: "too_large" });
    expect(readCookie(`${"a=1;".repeat(COOKIE_MAX_COUNT)}${name}=v`, name)).toEqual({ kind: "refused", reason: "too_large" });
  });
});
