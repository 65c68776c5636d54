/**
 * The stage of the signals' tests: the whole product with a stamping app, a TCP echo and a shell,
 * each behind three policies (a group; a second factor too; a device that complies), a directory if
 * it is asked for, and a transmitter of security events.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { CompactSign, exportJWK, generateKeyPair } from "jose";
import { ACR_SECOND_FACTOR } from "../../../start/demo-users.ts";
import { loopbackFetch, type LoopbackAnswer } from "../../../start/loopback-http.ts";
import type { Stack } from "../../../start/stack.ts";
import { startOwn, THIS_MACHINE_OPERATES } from "../../start/own-document.ts";
import { temporaryState } from "../../start/running-stack.ts";
import { startStampingOrigin, type StampingOrigin } from "../revocation/stamping-origin.ts";
import { tcpApp, type TcpApp } from "../tcp/stage.ts";
import { hasOpenSsh, type Shell, startShell } from "./shell.ts";

const AUDIENCE = "https://receiver.example.com";
const SECRETS = { DEMO_SCIM_TOKEN: "scim-token-of-the-demo-for-its-tests", FEED_TOKEN: "feed-token-of-the-demo-for-its-tests" };

/** What a policy demands; each is three apps: itself, `-pipe` and `-shell`. */
export type Demand = "crew" | "careful" | "lab";
const DEMANDS: readonly Demand[] = ["crew", "careful", "lab"];

export interface SignalStage {
  readonly stack: Stack;
  readonly origin: StampingOrigin;
  readonly echo: TcpApp;
  /** Absent where OpenSSH is not installed. */
  readonly shell: Shell | undefined;
  readonly urlOf: (app: string) => string;
  readonly scim: (method: string, path: string, body?: unknown) => Promise<LoopbackAnswer>;
  /** Pushes an event of CAEP or RISC ("caep/session-revoked") about somebody of the demo. */
  readonly event: (type: string, sub: string, payload?: object) => Promise<LoopbackAnswer>;
  readonly end: () => Promise<void>;
}

/** `directory`: groups come by SCIM; otherwise from the demo provider's tokens. */
export async function startSignalStage({ directory }: { readonly directory: boolean }): Promise<SignalStage> {
  const state = temporaryState();
  const origin = await startStampingOrigin();
  const echo = await tcpApp((socket) => void socket.pipe(socket));
  const shell = hasOpenSsh ? await startShell(state.path) : undefined;
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "feed", alg: "ES256", use: "sig" }] });
  const transmitter = createServer((_request, response) => void response.setHeader("content-type", "application/json").end(keys));
  await new Promise<void>((resolve) => transmitter.listen(0, "127.0.0.1", resolve));
  const feed = `http://127.0.0.1:${(transmitter.address() as AddressInfo).port}`;
  const stack = await startOwn(
    state.path,
    `version: 1
domain: postern.localhost
identity:
  providers:
    - { id: demo, issuer: "http://idp.demo.localhost", client_id: postern, client_secret: { secret: DEMO_CLIENT_SECRET }, scopes: [openid, email, profile, groups], email_domains: [example.com, partner.example.com], acr_values: ["${ACR_SECOND_FACTOR}"], ${directory ? "scim: { token: { secret: DEMO_SCIM_TOKEN } }" : "groups_claim: groups"} }
signals: [{ id: feed, issuer: "${feed}", jwks_uri: "${feed}/keys", audience: "${AUDIENCE}", provider: demo, token: { secret: FEED_TOKEN } }]
sites: [{ id: office, lanes: 2 }]
apps:
${DEMANDS.map((one) => `  - { id: ${one}, site: office, upstream: "${origin.url}" }
  - { id: ${one}-pipe, site: office, upstream: "${echo.url}" }
  - { id: ${one}-shell, site: office, upstream: "tcp://127.0.0.1:${shell?.port ?? 1}" }`).join("\n")}
policies:
  - { id: crew, effect: allow, apps: [crew, crew-pipe, crew-shell], when: { group: ${directory ? "Crew" : "staff"} } }
  - { id: careful, effect: allow, apps: [careful, careful-pipe, careful-shell], when: { group: ${directory ? "Crew" : "staff"}, mfa: true } }
  - { id: lab, effect: allow, apps: [lab, lab-pipe, lab-shell], when: { provider: demo, device: { compliant: true } } }
  - ${THIS_MACHINE_OPERATES}
`,
    { environment: SECRETS },
  );
  const to = `${stack.launcher}/.postern`;
  return {
    stack,
    origin,
    echo,
    shell,
    urlOf: (app) => stack.apps.find(({ id }) => id === app)?.url ?? "",
    scim: (method, path, body) => loopbackFetch(`${to}/scim/v2${path}`, { method, headers: { authorization: `Bearer ${SECRETS.DEMO_SCIM_TOKEN}`, "content-type": "application/scim+json" }, ...(body === undefined ? {} : { body: JSON.stringify(body) }), timeoutMs: 45_000 }),
    event: async (type, sub, payload = {}) => {
      const [profile = "", name = ""] = type.split("/");
      const claims = { iss: feed, aud: AUDIENCE, iat: Math.floor(Date.now() / 1_000), jti: crypto.randomUUID(), sub_id: { format: "iss_sub", iss: stack.issuer, sub }, events: { [`https://schemas.openid.net/secevent/${profile}/event-type/${name}`]: payload } };
      const body = await new CompactSign(new TextEncoder().encode(JSON.stringify(claims))).setProtectedHeader({ alg: "ES256", kid: "feed", typ: "secevent+jwt" }).sign(privateKey);
      return loopbackFetch(`${to}/ssf/feed`, { method: "POST", headers: { authorization: `Bearer ${SECRETS.FEED_TOKEN}`, "content-type": "application/secevent+jwt" }, body, timeoutMs: 45_000 });
    },
    end: async () => {
      await stack.stop();
      await shell?.stop();
      transmitter.close();
      echo.close();
      await origin.close();
      state.remove();
    },
  };
}
