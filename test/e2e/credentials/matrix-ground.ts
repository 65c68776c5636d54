/**
 * The ground of the credential matrix: an edge whose first operator is its setup token, a second
 * provider, a connector behind a tap, and what is needed to come by each kind of credential.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toBase64Url } from "../../../core/bytes.ts";
import { at } from "../../../core/time.ts";
import { type ConnectorKey, generateConnectorKey } from "../../../identity/connector-proof.ts";
import { ENROLL_PROOF_TYPE } from "../../../identity/enroll-proof.ts";
import { signStrict } from "../../../identity/strict-jws.ts";
import { DEMO_PASSWORD } from "../../../start/demo-users.ts";
import { edgeApi } from "../../../start/edge-api.ts";
import { startConnector } from "../../../start/local-connector.ts";
import { FormBrowser } from "../../start/form-browser.ts";
import { type Operator, operatorOf } from "../revocation/operator.ts";
import { ownProvider, type PeopleEdge, peopleEdge } from "./people-edge.ts";
import { type Answered, ask, type HeaderLines } from "./plain-request.ts";
import { type TunnelTap, tapTunnel } from "./tunnel-tap.ts";

/** Services of the document, so that each cell may spend its own. */
const SERVICE_COUNT = 150;
const DEMO_SECRET = "a secret that the demo provider and the edge share";

const DOCUMENT = `version: 1
domain: postern.localhost
identity:
  providers:
    - ${ownProvider(", token_audiences: [robots]")}
    - { id: demo, issuer: "http://idp.demo.localhost", client_id: postern, client_secret: { secret: DEMO_CLIENT_SECRET }, email_domains: [example.com, partner.example.com], token_audiences: [postern] }
sites: [{ id: office }]
apps:
  - { id: alpha, site: office, upstream: "ORIGIN" }
  - { id: beta, site: office, upstream: "ORIGIN" }
  - { id: pipe, site: office, upstream: "tcp://127.0.0.1:9" }
lists:
  robots: [${Array.from({ length: SERVICE_COUNT }, (_, index) => `robot-${index}`).join(", ")}]
policies:
  - { id: everybody, effect: allow, apps: [alpha, beta, pipe], when: { provider: [own, demo] } }
  - { id: robots, effect: allow, apps: [alpha, beta, pipe], when: { service: "$robots" } }
  - { id: admins, effect: allow, apps: ["postern:admin"], when: { group: [admins] }, limits: { role: operator } }
  - { id: operators, effect: allow, apps: ["postern:admin"], when: { service: [ops] }, limits: { role: operator } }
`;

export interface Ground extends PeopleEdge {
  readonly tap: TunnelTap;
  readonly ops: Operator;
  readonly setupToken: string;
  readonly setupKey: string;
  readonly connector: { readonly id: string; readonly thumbprint: string };
  /** A name that nobody has had yet: a person's, and a service's of the document. */
  readonly freshPerson: () => string;
  readonly freshService: () => string;
  /** A one-time token for the site. */
  readonly enrollToken: () => Promise<string>;
  /** Tries to enrol with a token. */
  readonly enroll: (token: string, headers?: HeaderLines) => Promise<Answered>;
  /** An ID token of the demo provider for its client, by the code flow. */
  readonly demoIdToken: (user: string) => Promise<string>;
  /** Every secret that was made, to look for where none may be. */
  readonly secrets: Set<string>;
}

/** The proof that an enrolment takes: the token's hash under the connector's key. */
function enrollProof(token: string, key: ConnectorKey, issuedAt = Date.now()): Promise<string> {
  const claims = { token_hash: toBase64Url(createHash("sha256").update(token).digest()), thumbprint: key.thumbprint, iat: Math.floor(issuedAt / 1000) };
  const { privateJwk, publicJwk, thumbprint } = key;
  return signStrict(ENROLL_PROOF_TYPE, claims, { kid: thumbprint, alg: "EdDSA", use: "admission", privateJwk, publicJwk, createdAt: at(issuedAt) });
}

/** Where the demo provider really is: the rendered document says it. */
const demoIssuerOf = (document: string): string => /id: demo, issuer: "([^"]+)"/.exec(document)?.[1] ?? "";

async function demoIdToken(edge: PeopleEdge, user: string): Promise<string> {
  const issuer = demoIssuerOf(edge.document);
  const verifier = randomBytes(32).toString("base64url");
  const redirect = `${edge.launcher}/.postern/callback`;
  const query = new URLSearchParams({
    client_id: "postern", redirect_uri: redirect, response_type: "code", scope: "openid email", state: "s", nonce: "n",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256",
  });
  const browser = new FormBrowser();
  const shown = await browser.open(`${issuer}/auth?${query.toString()}`);
  const form = /action="(\/interaction\/[^"]+)"/.exec(shown.page?.text ?? "")?.[1] ?? "";
  const action = new URL(form, shown.at).href;
  const back = await browser.follow(await browser.submit(action, { user, password: DEMO_PASSWORD }), action, redirect);
  const answer = await ask({
    url: `${issuer}/token`,
    method: "POST",
    headers: [["Content-Type", "application/x-www-form-urlencoded"], ["Authorization", `Basic ${Buffer.from(`postern:${encodeURIComponent(DEMO_SECRET)}`).toString("base64")}`]],
    body: new URLSearchParams({ grant_type: "authorization_code", code: back.stopped?.searchParams.get("code") ?? "", redirect_uri: redirect, code_verifier: verifier }).toString(),
  });
  const { id_token: token } = JSON.parse(answer.text) as { id_token?: string };
  if (token === undefined) throw new Error(`the demo provider gave no ID token: ${answer.text}`);
  return token;
}

/** Starts it; its connector is one of our own program, behind the tap. */
export async function matrixGround(): Promise<Ground> {
  const edge = await peopleEdge({ document: DOCUMENT, environment: { DEMO_CLIENT_SECRET: DEMO_SECRET }, withoutConnectors: true });
  const { stack, launcher } = edge;
  const setupToken = readFileSync(stack.tokenFile, "utf8").trim();
  const setupKey = readFileSync(join(stack.stateDirectory, "setup-key"), "utf8").trim();
  const opsFile = join(stack.stateDirectory, "ops-token");
  writeFileSync(opsFile, await edgeApi(launcher).createService(setupToken, "ops", "1d"));
  const ops = operatorOf(launcher, opsFile);
  const tap = await tapTunnel(stack.port);
  const tapped = new URL(launcher);
  tapped.port = String(tap.port);
  const connector = await startConnector({
    processes: stack.processes,
    api: edgeApi(tapped.origin),
    operatorToken: readFileSync(opsFile, "utf8"),
    site: "office",
    stateDirectory: join(stack.stateDirectory, "connectors", "office"),
  });
  const listed = JSON.parse((await ops.call("GET", "/connectors")).text) as { id: string; thumbprint: string }[];
  const thumbprint = listed.find(({ id }) => id === connector.id)?.thumbprint ?? "";
  let people = 0;
  let services = 0;
  const secrets = new Set<string>([setupToken, setupKey]);
  return {
    ...edge,
    tap,
    ops,
    setupToken,
    setupKey,
    connector: { id: connector.id, thumbprint },
    freshPerson: () => `person-${people++}`,
    freshService: () => {
      if (services >= SERVICE_COUNT) throw new Error("the document names too few services");
      return `robot-${services++}`;
    },
    enrollToken: async () => (JSON.parse((await ops.call("POST", "/enroll-tokens", JSON.stringify({ site: "office" }))).text) as { token: string }).token,
    enroll: async (token, headers = []) => {
      const key = await generateConnectorKey(crypto.subtle);
      const body = JSON.stringify({ token, public_key: key.publicJwk, name: "matrix", proof: await enrollProof(token, key) });
      return ask({ url: `${launcher}/.postern/connectors/enroll`, method: "POST", headers: [["Content-Type", "application/json"], ...headers], body });
    },
    demoIdToken: (user) => demoIdToken(edge, user),
    secrets,
    stop: async () => {
      await edge.stop();
      await tap.close();
    },
  };
}
