/**
 * An OpenID provider of the test's own, whose key the test holds: it signs in whomever `as` names
 * without a form, and mints any ID token, good or broken. Loopback only; not for the demo.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";

export interface Somebody {
  readonly groups?: readonly string[];
  readonly email?: string;
  /** Seconds since 1970 of the factors shown; absent: now. */
  readonly authTime?: number;
  readonly amr?: readonly string[];
  /** The provider's own session, which its sign-out names (`sid`). */
  readonly session?: string;
  /** Does not get through here: a wrong password, an account that is shut. */
  readonly refused?: boolean;
}

export interface OwnIssuer {
  readonly issuer: string;
  readonly clientId: string;
  readonly privateJwk: JWK;
  readonly publicJwk: JWK;
  /** People by `sub`; one that is not listed has no groups. */
  readonly people: Map<string, Somebody>;
  /** Milliseconds that each answer waits, asked anew for each. */
  delay: () => number;
  /** Claims of a good ID token for `audience`, an hour from now. */
  readonly claimsOf: (sub: string, audience: string) => Record<string, unknown>;
  readonly sign: (claims: Record<string, unknown>, header?: Record<string, unknown>) => Promise<string>;
  /** A good ID token. */
  readonly idToken: (sub: string, audience: string) => Promise<string>;
  readonly close: () => Promise<void>;
  /** Listens no more, until it does again, at the same address. */
  readonly away: () => Promise<void>;
  readonly back: () => Promise<void>;
}

interface Grant {
  readonly sub: string;
  readonly nonce: string;
  readonly clientId: string;
}

const KEY_ID = "own-1";

async function formOf(request: IncomingMessage): Promise<URLSearchParams> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return new URLSearchParams(text);
}

const sendJson = (response: ServerResponse, value: unknown, status = 200): void => {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(value));
};

/** Starts the provider on a free loopback port. */
export async function startOwnIssuer(clientId = "postern"): Promise<OwnIssuer> {
  const pair = await generateKeyPair("ES256", { extractable: true });
  const named = { kid: KEY_ID, alg: "ES256", use: "sig" };
  const [privateJwk, publicJwk] = [{ ...(await exportJWK(pair.privateKey)), ...named }, { ...(await exportJWK(pair.publicKey)), ...named }];
  const server: Server = createServer();
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const grants = new Map<string, Grant>();
  let codes = 0;

  const claimsOf: OwnIssuer["claimsOf"] = (sub, audience) => {
    const somebody = own.people.get(sub) ?? {};
    const now = Math.floor(Date.now() / 1000);
    return {
      iss: issuer,
      aud: audience,
      sub,
      iat: now,
      exp: now + 3_600,
      auth_time: somebody.authTime ?? now,
      amr: somebody.amr ?? ["pwd"],
      email: somebody.email ?? `${sub}@example.com`,
      email_verified: true,
      name: `Person ${sub}`,
      groups: somebody.groups ?? [],
      ...(somebody.session === undefined ? {} : { sid: somebody.session }),
    };
  };
  const sign: OwnIssuer["sign"] = (claims, header = {}) => new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: KEY_ID, ...header }).sign(pair.privateKey);

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", issuer);
    const wait = own.delay();
    if (wait > 0) await new Promise((wake) => setTimeout(wake, wait));
    switch (url.pathname) {
      case "/.well-known/openid-configuration":
        return sendJson(response, {
          issuer,
          authorization_endpoint: `${issuer}/authorize`,
          token_endpoint: `${issuer}/token`,
          jwks_uri: `${issuer}/jwks`,
          response_types_supported: ["code"],
          subject_types_supported: ["public"],
          id_token_signing_alg_values_supported: ["ES256"],
          code_challenge_methods_supported: ["S256"],
          authorization_response_iss_parameter_supported: true,
        });
      case "/jwks":
        return sendJson(response, { keys: [publicJwk] });
      case "/authorize": {
        const query = url.searchParams;
        const sub = query.get("as") ?? "nobody";
        if (own.people.get(sub)?.refused === true) {
          const refusal = new URL(query.get("redirect_uri") ?? "");
          refusal.search = new URLSearchParams({ error: "access_denied", state: query.get("state") ?? "", iss: issuer }).toString();
          response.writeHead(302, { location: refusal.href });
          return void response.end();
        }
        const code = `code-${codes++}-${crypto.randomUUID()}`;
        grants.set(code, { sub, nonce: query.get("nonce") ?? "", clientId: query.get("client_id") ?? "" });
        const back = new URL(query.get("redirect_uri") ?? "");
        back.search = new URLSearchParams({ code, state: query.get("state") ?? "", iss: issuer }).toString();
        response.writeHead(302, { location: back.href });
        return void response.end();
      }
      case "/token": {
        const code = (await formOf(request)).get("code") ?? "";
        const grant = grants.get(code);
        grants.delete(code);
        if (grant === undefined) return sendJson(response, { error: "invalid_grant" }, 400);
        const idToken = await sign({ ...claimsOf(grant.sub, grant.clientId), nonce: grant.nonce });
        return sendJson(response, { access_token: crypto.randomUUID(), token_type: "Bearer", expires_in: 60, id_token: idToken });
      }
      default:
        return sendJson(response, { error: "not_found" }, 404);
    }
  };
  server.on("request", (request, response) => {
    answer(request, response).catch(() => response.destroy());
  });

  const own: OwnIssuer = {
    issuer,
    clientId,
    privateJwk,
    publicJwk,
    people: new Map(),
    delay: () => 0,
    claimsOf,
    sign,
    idToken: (sub, audience) => sign(claimsOf(sub, audience)),
    away: async () => {
      server.closeAllConnections();
      await new Promise((gone) => server.close(gone));
    },
    back: async () => {
      server.listen(Number(new URL(issuer).port), "127.0.0.1");
      await new Promise((up) => server.once("listening", up));
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((down) => server.close(down));
    },
  };
  return own;
}
