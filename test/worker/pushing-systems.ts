/** A provider and a transmitter beside the Worker's tests: a document that names them, their keys, their tokens. Holds no rule of Postern. */
import { CompactSign, exportJWK, generateKeyPair } from "jose";
import { vi } from "vitest";
import { parseDocument } from "../../policy/parse-document.ts";
import { objects, tokenOf } from "../objects/deployment.ts";

export const LAUNCHER = "access.example.com";
export const PROVIDER = "https://login.example.com";
export const FEED = "https://ssf.example.com";
export const SECRETS = { CORP_SCIM_TOKEN: "corp-scim-token-of-more-than-32-characters", PARTNER_SCIM_TOKEN: "partner-scim-token-of-more-than-32-characters", FEED_TOKEN: "feed-token-of-more-than-32-characters" };

export interface Document {
  /** Further keys of provider corp, and further sections. */
  readonly corp?: string;
  readonly more?: string;
  readonly when?: string;
}

export async function setUpDocument({ corp = "", more = "", when = "{ provider: [corp] }" }: Document): Promise<void> {
  const text = `version: 1
domain: ${LAUNCHER}
identity:
  providers:
    - { id: corp, issuer: "${PROVIDER}", client_id: postern, groups_claim: groups, email_domains: [example.com]${corp} }
    - { id: partner, issuer: "https://partner.example.com", client_id: postern, scim: { token: { secret: PARTNER_SCIM_TOKEN } } }
sites: [{ id: berlin }]
apps:
  - { id: wiki, site: berlin, upstream: "http://10.0.0.5:8080" }
  - { id: crm, site: berlin, upstream: "http://10.0.0.6:8080" }
policies:
  - { id: staff, effect: allow, apps: [wiki, crm], when: ${when} }
  - { id: admins, effect: allow, apps: ["postern:admin"], when: { user: ["corp:operator"] }, limits: { role: operator } }
${more}`;
  const parsed = parseDocument(text);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  const { document, canonical } = parsed.value;
  const done = await objects.CONTROL.getByName("control").setup({ document, text: canonical, namesOperator: true, token: tokenOf() });
  if (!done.ok) throw new Error(done.code);
}

export interface Issuer {
  readonly sign: (claims: object, header: object) => Promise<string>;
  readonly jwk: object;
}

export async function newIssuer(kid: string): Promise<Issuer> {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  return {
    jwk: { ...(await exportJWK(publicKey)), kid, alg: "ES256", use: "sig" },
    sign: (claims, header) => new CompactSign(new TextEncoder().encode(JSON.stringify(claims))).setProtectedHeader({ alg: "ES256", kid, ...header }).sign(privateKey),
  };
}

/** Answers for the provider and the feed; counts how often they are asked. */
export function serve(provider: Issuer, feed: Issuer): { asked: number } {
  const count = { asked: 0 };
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input) => {
    count.asked++;
    const url = typeof input === "string" ? input : input instanceof URL ? input.href : input.url;
    const body = {
      [`${PROVIDER}/.well-known/openid-configuration`]: { issuer: PROVIDER, authorization_endpoint: `${PROVIDER}/a`, token_endpoint: `${PROVIDER}/t`, jwks_uri: `${PROVIDER}/jwks`, id_token_signing_alg_values_supported: ["ES256"] },
      [`${PROVIDER}/jwks`]: { keys: [provider.jwk] },
      [`${FEED}/jwks`]: { keys: [feed.jwk] },
    }[url];
    return body === undefined ? new Response(null, { status: 404 }) : Response.json(body);
  });
  return count;
}

export const seconds = (): number => Math.floor(Date.now() / 1_000);
