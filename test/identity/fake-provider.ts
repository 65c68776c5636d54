/**
 * An identity provider in memory that answers as a test tells it to: honest by default, hostile
 * on request. It signs with real keys; nothing here touches a network or a clock.
 */
import { CompactSign, exportJWK, generateKeyPair } from "jose";
import type { CryptoKey, JWK } from "jose";
import { at } from "../../core/time.ts";
import type { Millis } from "../../core/time.ts";
import { beginLogin } from "../../identity/oidc-login.ts";
import type { LoginDemand, LoginState } from "../../identity/oidc-login.ts";
import { discover } from "../../identity/oidc-discovery.ts";
import { newProviderCache } from "../../identity/provider-cache.ts";
import type { OidcIo, ProviderSettings, Random } from "../../identity/provider.ts";

export const START = at(1_795_345_200_000);
export const CALLBACK = "https://access.example.com/.postern/callback";

/** Bytes that differ at each call and are the same at each run. */
export function countingRandom(start = 1): Random {
  let call = start;
  return (length) => {
    const seed = call++;
    return Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7) & 255);
  };
}

export interface Answer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
  readonly stream?: ReadableStream<Uint8Array>;
}

export interface Signer {
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
  readonly alg: string;
}

export async function newSigner(kid: string | undefined, alg = "ES256"): Promise<Signer> {
  const pair = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(pair.publicKey);
  return { privateKey: pair.privateKey, alg, jwk: { ...jwk, alg, use: "sig", ...(kid === undefined ? {} : { kid }) } };
}

export class FakeProvider {
  readonly settings: ProviderSettings;
  readonly signer: Signer;
  now: Millis = START;
  readonly asked: { readonly url: string; readonly body: string }[] = [];
  readonly answers: { [path: string]: () => Answer | Promise<Answer> };
  readonly io: OidcIo;

  constructor(signer: Signer, settings: Partial<ProviderSettings> = {}) {
    this.signer = signer;
    this.settings = {
      id: "corp",
      issuer: "https://idp.example.com",
      clientId: "postern",
      clientSecret: "s3cret",
      clientAuth: "client_secret_basic",
      scopes: ["openid", "email"],
      groupsClaim: "groups",
      emailDomains: ["example.com"],
      trustEmail: false,
      acrValues: [],
      tokenAudiences: [],
      ...settings,
    };
    this.answers = {
      "/.well-known/openid-configuration": () => ({ body: this.metadata() }),
      "/jwks": () => ({ body: { keys: [this.signer.jwk] } }),
    };
    this.io = {
      now: () => this.now,
      cache: newProviderCache(),
      deadline: () => new AbortController().signal,
      fetch: async (url, init) => {
        const body = init.body instanceof URLSearchParams ? init.body.toString() : "";
        this.asked.push({ url, body });
        const at = new URL(this.settings.issuer).pathname.replace(/\/$/, "");
        const answer = await this.answers[new URL(url).pathname.slice(at.length)]?.();
        if (answer === undefined) throw new TypeError("connection refused");
        const headers = { "content-type": "application/json", ...answer.headers };
        const text = answer.body === undefined ? null : typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body);
        return new Response(answer.stream ?? text, { status: answer.status ?? 200, headers });
      },
    };
  }

  metadata(): Record<string, unknown> {
    const { issuer } = this.settings;
    const base = issuer.replace(/\/$/, "");
    return {
      issuer,
      authorization_endpoint: `${base}/authorize`,
      token_endpoint: `${base}/token`,
      jwks_uri: `${base}/jwks`,
      end_session_endpoint: `${base}/logout`,
      id_token_signing_alg_values_supported: ["RS256", "PS256", "ES256", "EdDSA"],
    };
  }

  asks(path: string): number {
    return this.asked.filter(({ url }) => new URL(url).pathname.endsWith(path)).length;
  }

  get seconds(): number {
    return Math.floor(this.now / 1_000);
  }

  /** Claims of an honest ID token at this moment. */
  claims(extra: Record<string, unknown> = {}): Record<string, unknown> {
    const { issuer, clientId } = this.settings;
    return { iss: issuer, aud: clientId, sub: "alice", iat: this.seconds, exp: this.seconds + 300, ...extra };
  }

  mint(claims: Record<string, unknown>, header: Record<string, unknown> = {}, signer = this.signer): Promise<string> {
    const kid = signer.jwk.kid;
    return new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
      .setProtectedHeader({ alg: signer.alg, ...(kid === undefined ? {} : { kid }), ...header })
      .sign(signer.privateKey);
  }

  /** Begins a sign-in, as a browser would, and makes the token endpoint answer it. */
  async begin(demand: LoginDemand = {}): Promise<{ loginState: LoginState; authorizationUrl: URL }> {
    const as = await discover(this.settings, this.io);
    if (!as.ok) throw new Error(as.error.cause);
    const begun = await beginLogin({
      provider: this.settings,
      as: as.value,
      redirectUri: CALLBACK,
      returnTo: "https://wiki.access.example.com/x",
      random: countingRandom(),
      now: this.now,
      demand,
    });
    return { loginState: begun.loginState, authorizationUrl: new URL(begun.authorizationUrl) };
  }

  /** The token endpoint hands out this ID token. */
  grant(idToken: string): void {
    this.answers["/token"] = () => ({ body: { access_token: "at", token_type: "Bearer", id_token: idToken } });
  }
}
