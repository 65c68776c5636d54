/**
 * Everything that may be wrong with a JWT (class F), as makers of tokens: for the ID token at the
 * token endpoint and for the key proof at the enrolment. Makes tokens; judges none.
 */
import { createHash } from "node:crypto";
import { base64url, CompactEncrypt, CompactSign, type CryptoKey, exportSPKI, generateKeyPair, importJWK, type JWK } from "jose";
import { type ConnectorKey, generateConnectorKey } from "../../../identity/connector-proof.ts";
import { ENROLL_PROOF_TYPE } from "../../../identity/enroll-proof.ts";
import { flipBit } from "./checks.ts";
import { exchange } from "./kinds.ts";
import type { Ground } from "./matrix-ground.ts";
import { type Answered, ask } from "./plain-request.ts";
import { workedMs } from "../process-use.ts";

/** A good token's makings. */
export interface Good {
  readonly claims: Readonly<Record<string, unknown>>;
  readonly header: Readonly<Record<string, unknown>>;
  readonly publicJwk: JWK;
  readonly privateJwk: JWK;
  /** Signed as it should be; `header` adds to the header. */
  readonly sign: (claims: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, unknown>>) => Promise<string>;
}

export type Fault = (good: Good) => Promise<string> | string;

const part = (value: unknown): string => base64url.encode(JSON.stringify(value));
const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const unsigned = ({ claims, header }: Good, alg: unknown, signature = ""): string => `${part(alg === undefined ? { ...header, alg: undefined } : { ...header, alg })}.${part(claims)}.${signature}`;
const signedBy = async (good: Good, alg: string, key: CryptoKey | Uint8Array, header: Readonly<Record<string, unknown>> = {}): Promise<string> =>
  new CompactSign(bytes(good.claims)).setProtectedHeader({ ...good.header, ...header, alg }).sign(key);
/** HMAC keys shorter than the digest are refused by the library that makes the attack: HS256 over the text of a key is long enough. */
const overText = (good: Good, text: string): Promise<string> => signedBy(good, "HS256", new TextEncoder().encode(text));

async function spki({ publicJwk }: Good): Promise<string> {
  return exportSPKI((await importJWK(publicJwk, publicJwk.alg ?? "", { extractable: true })) as CryptoKey);
}

const withHeader = (header: Readonly<Record<string, unknown>>): Fault => ({ claims, sign }) => sign(claims, header);
/** Signed by a key of the attacker's that the header names. */
const ownKeyIn = (name: string, as: (jwk: JWK) => unknown): Fault => async (good) => {
  const { publicKey, privateKey } = await generateKeyPair(String(good.header["alg"]), { extractable: true });
  const jwk = await crypto.subtle.exportKey("jwk", publicKey);
  return signedBy(good, String(good.header["alg"]), privateKey, { [name]: as(jwk as JWK) });
};

const JWT_FAULTS: Readonly<Record<string, Fault>> = {
  "alg none, no signature": (good) => unsigned(good, "none"),
  "alg NoNe, no signature": (good) => unsigned(good, "NoNe"),
  "alg none, some signature": (good) => unsigned(good, "none", "AAAA"),
  "no alg": (good) => unsigned(good, undefined, "A".repeat(86)),
  "alg a number": (good) => unsigned(good, 1, "A".repeat(86)),
  "HS256 over the public JWK": (good) => overText(good, JSON.stringify(good.publicJwk)),
  "HS256 over the public PEM": async (good) => overText(good, await spki(good)),
  "HS256 over the public PEM after a line feed": async (good) => overText(good, `\n${await spki(good)}`),
  "RS256 by another key under the same kid": async (good) => signedBy(good, "RS256", (await generateKeyPair("RS256")).privateKey),
  "ES384 by another key": async (good) => signedBy(good, "ES384", (await generateKeyPair("ES384")).privateKey),
  "the right alg by another key": async (good) => signedBy(good, String(good.header["alg"]), (await generateKeyPair(String(good.header["alg"]))).privateKey),
  "jwk of the attacker": ownKeyIn("jwk", (jwk) => jwk),
  "jku of the attacker": ownKeyIn("jku", () => "http://127.0.0.1:1/jwks"),
  "x5u of the attacker": ownKeyIn("x5u", () => "http://127.0.0.1:1/cert"),
  "x5c of the attacker": ownKeyIn("x5c", () => ["MIIB"]),
  "jwk beside the right signature": (good) => withHeader({ jwk: good.publicJwk })(good),
  "jku beside the right signature": withHeader({ jku: "http://127.0.0.1:1/jwks" }),
  "x5u beside the right signature": withHeader({ x5u: "http://127.0.0.1:1/cert" }),
  "crit beside the right signature": ({ claims, header, privateJwk }) =>
    importJWK(privateJwk, String(header["alg"])).then((key) => new CompactSign(bytes(claims)).setProtectedHeader({ ...header, alg: String(header["alg"]), crit: ["x-not-known"], "x-not-known": true }).sign(key, { crit: { "x-not-known": true } })),
  "the typ of another token": withHeader({ typ: "at+jwt" }),
  "one bit of the signature": async ({ claims, sign }) => flipBit(await sign(claims)),
  "one bit of the claims": async ({ claims, sign }) => {
    const [head = "", body = "", signature = ""] = (await sign(claims)).split(".");
    return `${head}.${flipBit(body)}.${signature}`;
  },
  "padding after the signature": async ({ claims, sign }) => `${await sign(claims)}==`,
  "a blank before it": async ({ claims, sign }) => ` ${await sign(claims)}`,
  "four parts": async ({ claims, sign }) => `${await sign(claims)}.AAAA`,
  "no signature": async ({ claims, sign }) => (await sign(claims)).split(".").slice(0, 2).join("."),
  "a compressed JWE": async ({ claims }) => {
    const jwe = await new CompactEncrypt(bytes(claims)).setProtectedHeader({ alg: "dir", enc: "A256GCM" }).encrypt(new Uint8Array(32));
    return `${part({ alg: "dir", enc: "A256GCM", zip: "DEF" })}.${jwe.split(".").slice(1).join(".")}`;
  },
  "a megabyte of dots": () => ".".repeat(1_048_576),
  "60 kB of dots": () => ".".repeat(60_000),
  "60 kB of header": ({ claims }) => `${part({ alg: "none", x: "y".repeat(45_000) })}.${part(claims)}.AAAA`,
  "claims that are a list": ({ header, privateJwk }) => importJWK(privateJwk, String(header["alg"])).then((key) => new CompactSign(bytes(["sub"])).setProtectedHeader({ ...header, alg: String(header["alg"]) }).sign(key)),
  "claims that are no JSON": ({ header, privateJwk }) => importJWK(privateJwk, String(header["alg"])).then((key) => new CompactSign(new TextEncoder().encode("{")).setProtectedHeader({ ...header, alg: String(header["alg"]) }).sign(key)),
};

const claim = (name: string, value: (good: Good) => unknown): Fault => (good) => good.sign({ ...good.claims, [name]: value(good) });
const now = (offset: number): number => Math.floor(Date.now() / 1000) + offset;

export const ID_TOKEN_FAULTS: Readonly<Record<string, Fault>> = {
  ...JWT_FAULTS,
  "aud of another": claim("aud", () => "postern"),
  "aud of ours and another": claim("aud", () => ["robots", "somebody-else"]),
  "aud an empty list": claim("aud", () => []),
  "aud an object": claim("aud", () => ({ robots: true })),
  "no aud": claim("aud", () => undefined),
  "azp of another": claim("azp", () => "somebody-else"),
  "iss of another": claim("iss", () => "http://127.0.0.1:1"),
  "iss with a slash more": claim("iss", ({ claims }) => `${String(claims["iss"])}/`),
  "no iss": claim("iss", () => undefined),
  "no exp": claim("exp", () => undefined),
  "exp 1e300": claim("exp", () => 1e300),
  "exp a text": claim("exp", () => String(now(600))),
  "exp an hour ago": claim("exp", () => now(-3_600)),
  "exp this second, within the tolerance": claim("exp", () => now(0)),
  "exp before iat": claim("exp", () => now(-1)),
  "exp negative": claim("exp", () => -1),
  "no iat": claim("iat", () => undefined),
  "iat in an hour": claim("iat", () => now(3_600)),
  "nbf in an hour": claim("nbf", () => now(3_600)),
  "nbf a text": claim("nbf", () => "0"),
  "no sub": claim("sub", () => undefined),
  "sub a list": claim("sub", () => ["a"]),
  "sub empty": claim("sub", () => ""),
  "sub of 300 characters": claim("sub", () => "s".repeat(300)),
  "a logout token": claim("events", () => ({ "http://schemas.openid.net/event/backchannel-logout": {} })),
  "an access token of Keycloak": claim("typ", () => "Bearer"),
};

export const ENROL_PROOF_FAULTS: Readonly<Record<string, Fault>> = {
  ...JWT_FAULTS,
  "an hour old": claim("iat", () => now(-3_600)),
  "an hour ahead": claim("iat", () => now(3_600)),
  "no iat": claim("iat", () => undefined),
  "iat a text": claim("iat", () => String(now(0))),
  "over another token": claim("token_hash", () => "A".repeat(43)),
  "no token": claim("token_hash", () => undefined),
  "for another key": claim("thumbprint", () => "A".repeat(43)),
};

/** An answer and what the edge worked for it; making the token is not counted. */
export interface Tried extends Answered {
  readonly workedMs: number;
}

async function worked({ stack }: Ground, answer: () => Promise<Answered>): Promise<Tried> {
  const begun = workedMs(stack.edge().pid);
  const answered = await answer();
  return { ...answered, workedMs: workedMs(stack.edge().pid) - begun };
}

/** Presents an ID token with a fault to the token endpoint, for an app that its person may open. */
export async function tryIdToken(ground: Ground, fault: Fault): Promise<Tried> {
  const { issuer } = ground;
  const header = { alg: "ES256", kid: String(issuer.publicJwk.kid) };
  const claims = issuer.claimsOf(ground.freshPerson(), "robots");
  const token = await fault({ claims, header, publicJwk: issuer.publicJwk, privateJwk: issuer.privateJwk, sign: (changed, more = {}) => issuer.sign({ ...changed }, { ...more }) });
  return worked(ground, () => exchange(ground, token));
}

/** Presents a key proof with a fault, with a good token and the key that signs. */
export async function tryEnrolProof(ground: Ground, token: string, fault: Fault): Promise<Tried> {
  const key: ConnectorKey = await generateConnectorKey(crypto.subtle);
  const { kid, x, kty, crv } = key.publicJwk;
  const privateJwk: JWK = { kty, crv, x, d: key.privateJwk.d };
  const header = { alg: "EdDSA", kid, typ: ENROLL_PROOF_TYPE };
  const claims = { iat: now(0), thumbprint: key.thumbprint, token_hash: createHash("sha256").update(token).digest("base64url") };
  const sign: Good["sign"] = async (changed, more = {}) => new CompactSign(bytes(changed)).setProtectedHeader({ ...header, ...more }).sign(await importJWK(privateJwk, "EdDSA"));
  const proof = await fault({ claims, header, publicJwk: { kty, crv, x, alg: "EdDSA" }, privateJwk, sign });
  const body = JSON.stringify({ token, public_key: key.publicJwk, name: "faulty", proof });
  return worked(ground, () => ask({ url: `${ground.launcher}/.postern/connectors/enroll`, method: "POST", headers: [["Content-Type", "application/json"]], body }));
}
