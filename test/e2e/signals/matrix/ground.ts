/**
 * The ground of the matrix: the whole product, two providers (one of them with a directory), a
 * transmitter of security events, an sshd, and for each need that a policy may have three apps:
 * what a browser opens, a TCP service, and a shell.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { edgeApi } from "../../../../start/edge-api.ts";
import { type LocalConnector, startConnector } from "../../../../start/local-connector.ts";
import { loopbackFetch, type LoopbackAnswer } from "../../../../start/loopback-http.ts";
import { createProcesses } from "../../../../start/processes.ts";
import type { Stack } from "../../../../start/stack.ts";
import { privateFolder } from "../../../../start/state-files.ts";
import { startOwn, THIS_MACHINE_OPERATES } from "../../../start/own-document.ts";
import { temporaryState, until } from "../../../start/running-stack.ts";
import { type OwnIssuer, startOwnIssuer } from "../../credentials/own-issuer.ts";
import { type Operator, operatorOf } from "../../revocation/operator.ts";
import { HEALTH_PATH, type MatrixApp, startMatrixApp } from "./app.ts";
import { startGate } from "./gate.ts";
import { type Sshd, startSshd } from "./sshd.ts";

const AUDIENCE = "https://receiver.example.com";
const SECRETS = { DIRECTORY_TOKEN: "directory-token-of-the-matrix-test", FEED_TOKEN: "feed-token-of-the-whole-matrix-test" };
/** An event may tell of what was a moment ago: what is proved after it counts. */
export const A_MOMENT_S = 2;
export const SERVICE = "robot";

const ALWAYS = 'group: ["own:staff", "dir:Crew"]';
/** What the apps of a need ask for, besides being of the staff. */
export type Needs = Readonly<Record<string, string>>;
export const NEEDS = {
  plain: "",
  strong: "mfa: true",
  recent: "session_age: { max: 12h }",
  machine: "device: { registered: true, disk_encrypted: true, max_age: 15m }",
  compliant: "device: { compliant: true }",
  careful: "any: [{ risk: { max: medium } }, { mfa: { max_age: 5m } }]",
  calm: "risk: [low]",
  granted: "grant: true",
} as const satisfies Needs;

export interface Ground {
  readonly stack: Stack;
  readonly operator: Operator;
  readonly app: MatrixApp;
  readonly sshd: Sshd | undefined;
  /** Its people's groups come with their tokens; `directory`'s from what is written there. */
  readonly people: OwnIssuer;
  readonly directory: OwnIssuer;
  readonly urlOf: (app: string) => string;
  readonly folder: (name: string) => string;
  /** The document with other needs of its apps, and with more policies. */
  readonly document: (needs?: Needs, more?: string) => string;
  readonly scim: (method: string, path: string, body: object) => Promise<LoopbackAnswer>;
  /** Pushes an event of CAEP or RISC ("caep/session-revoked") about somebody of `people`, issued so many seconds ago. */
  readonly event: (type: string, sub: string, payload?: object, ageSeconds?: number) => Promise<LoopbackAnswer>;
  /** Streams that the lanes hold. */
  readonly isQuiet: () => Promise<boolean>;
  /** What the connector says from now on of the apps of a need that is `told`. */
  readonly tell: (need: string, facts: TargetFacts) => void;
  /** The apps of the need that is `checked` are not well from now on: what is open goes on. */
  readonly fallIll: () => void;
  /** The connector that carries all, and another in its place when it is gone. */
  readonly connector: () => LocalConnector;
  readonly renewConnector: () => Promise<void>;
  readonly end: () => Promise<void>;
}

export interface GroundOptions {
  readonly needs?: Needs;
  /** `defaults:` of the document, as one YAML flow mapping. */
  readonly defaults?: string;
  /** What stands beside the apps of a need in the document, `on_identity_loss: cut` for one. */
  readonly beside?: Needs;
  /** What the connector says at first of the apps of these needs (`--target`). */
  readonly told?: Readonly<Record<string, TargetFacts>>;
  /** The need whose apps have a health check. */
  readonly checked?: string;
}

/** As docs/connector.md has them. */
export interface TargetFacts {
  readonly digest?: string;
  readonly critical?: number;
}

export async function startGround({ needs = NEEDS, defaults, beside = {}, told = {}, checked }: GroundOptions = {}): Promise<Ground> {
  const state = temporaryState();
  const ends: (() => unknown)[] = [state.remove];
  const end = async (): Promise<void> => {
    for (const one of ends.splice(0).toReversed()) await one();
  };
  try {
    const app = await startMatrixApp();
    ends.push(app.close);
    const [people, directory] = [await startOwnIssuer(), await startOwnIssuer()];
    ends.push(people.close, directory.close);
    const feed = await startFeed();
    ends.push(feed.close);
    const processes = createProcesses(await privateFolder(join(state.path, "logs")));
    ends.push(() => processes.stopAll());
    const sshd = await startSshd(processes, join(state.path, "sshd"));
    const upstreams = { web: app.web, pipe: app.tcp, shell: sshd === undefined ? app.tcp : `tcp://127.0.0.1:${sshd.port}` };
    const faces = Object.keys(upstreams);
    const trio = (need: string): string => faces.map((face) => `${face}-${need}`).join(", ");
    const gates = { pipe: await startGate(upstreams.pipe), shell: await startGate(upstreams.shell) };
    ends.push(gates.pipe.close, gates.shell.close);
    const wayTo = (face: string, upstream: string, need: string): string =>
      need === checked ? `upstream: "${face === "pipe" || face === "shell" ? gates[face].url : upstream}", health: { path: ${HEALTH_PATH}, every: 1s }` : `upstream: "${upstream}"`;
    const document: Ground["document"] = (with_ = needs, more = "") => `version: 1
domain: postern.localhost
${defaults === undefined ? "" : `defaults: ${defaults}\n`}identity:
  providers:
    - { id: own, issuer: "${people.issuer}", client_id: postern, scopes: [openid, email, profile, groups], groups_claim: groups, email_domains: [example.com] }
    - { id: dir, issuer: "${directory.issuer}", client_id: postern, scopes: [openid, email, profile], email_domains: [example.com], scim: { token: { secret: DIRECTORY_TOKEN } } }
signals: [{ id: feed, issuer: "${feed.issuer}", jwks_uri: "${feed.issuer}/keys", audience: "${AUDIENCE}", provider: own, token: { secret: FEED_TOKEN } }]
sites: [{ id: office, lanes: 2 }]
apps:
${Object.keys(needs).flatMap((need) => Object.entries(upstreams).map(([face, upstream]) => `  - { id: ${face}-${need}, site: office, ${wayTo(face, upstream, need)}${beside[need] === undefined ? "" : `, ${beside[need]}`} }`)).join("\n")}
  - { id: nobodys, site: office, upstream: "${app.web}" }
policies:
${Object.entries(with_).map(([need, when]) => `  - { id: ${need}, effect: allow, apps: [${trio(need)}], when: { ${ALWAYS}${when === "" ? "" : `, ${when}`} } }`).join("\n")}
  - { id: robots, effect: allow, apps: [${Object.keys(needs).map(trio).join(", ")}], when: { service: [${SERVICE}] } }
${more}
  - ${THIS_MACHINE_OPERATES}
`;
    const fileOf = (need: string): string => join(state.path, `target-${need}.json`);
    const tell: Ground["tell"] = (need, facts) => {
      writeFileSync(`${fileOf(need)}.new`, JSON.stringify({ ...facts, observed_at: new Date().toISOString() }));
      renameSync(`${fileOf(need)}.new`, fileOf(need));
    };
    for (const [need, facts] of Object.entries(told)) tell(need, facts);
    const connectorArguments = Object.keys(told).flatMap((need) => faces.flatMap((face) => ["--target", `${face}-${need}=${fileOf(need)}`]));
    const stack = await startOwn(state.path, document(), { environment: SECRETS, connectorArguments });
    ends.push(stack.stop);
    const operator = operatorOf(stack.launcher, stack.tokenFile);
    let connector = stack.connectors[0] as LocalConnector;
    let made = 0;
    const to = `${stack.launcher}/.postern`;
    return {
      stack,
      operator,
      app,
      sshd,
      people,
      directory,
      urlOf: (id) => stack.apps.find((one) => one.id === id)?.url ?? "",
      folder: (name) => join(state.path, `${name}-${++made}`),
      document,
      scim: (method, path, body) =>
        loopbackFetch(`${to}/scim/v2${path}`, { method, headers: { authorization: `Bearer ${SECRETS.DIRECTORY_TOKEN}`, "content-type": "application/scim+json" }, body: JSON.stringify(body), timeoutMs: 45_000 }),
      event: async (type, sub, payload = {}, ageSeconds = 0) =>
        loopbackFetch(`${to}/ssf/feed`, { method: "POST", headers: { authorization: `Bearer ${SECRETS.FEED_TOKEN}`, "content-type": "application/secevent+jwt" }, body: await feed.token(type, { sub_id: { format: "iss_sub", iss: people.issuer, sub }, iat: Math.floor(Date.now() / 1_000) - ageSeconds }, payload), timeoutMs: 45_000 }),
      isQuiet: async () => {
        const { lanes } = JSON.parse((await operator.call("GET", "/edge-status")).text) as { readonly lanes: readonly { readonly streams?: number }[] };
        return lanes.every(({ streams = 0 }) => streams === 0);
      },
      tell,
      fallIll: () => {
        app.fallIll();
        for (const gate of Object.values(gates)) gate.shut();
      },
      connector: () => connector,
      renewConnector: async () => {
        connector = await startConnector({ processes: stack.processes, api: edgeApi(stack.launcher), operatorToken: readFileSync(stack.tokenFile, "utf8").trim(), site: "office", stateDirectory: join(state.path, `connector-${++made}`) });
      },
      end,
    };
  } catch (cause) {
    await end();
    throw cause;
  }
}

interface Feed {
  readonly issuer: string;
  readonly token: (type: string, claims: Readonly<Record<string, unknown>>, payload: object) => Promise<string>;
  readonly close: () => void;
}

/** A transmitter of security events, with its key where receivers fetch it. */
async function startFeed(): Promise<Feed> {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "feed", alg: "ES256", use: "sig" }] });
  const server = createServer((_request, response) => void response.setHeader("content-type", "application/json").end(keys));
  await new Promise<void>((up) => server.listen(0, "127.0.0.1", up));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    issuer,
    token: (type, more, payload) => {
      const [profile = "", name = ""] = type.split("/");
      const claims = { iss: issuer, aud: AUDIENCE, jti: crypto.randomUUID(), events: { [`https://schemas.openid.net/secevent/${profile}/event-type/${name}`]: payload }, ...more };
      return new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: "feed", typ: "secevent+jwt" }).sign(privateKey);
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Until nothing of the row before is open any more. */
export const untilQuiet = (ground: Ground): Promise<void> => until(ground.isQuiet, "the lanes are quiet", 15_000);

/** What stands behind the cells of ssh on this machine. */
export const shellOf = ({ sshd }: Ground): string => (sshd === undefined ? "ssh: OpenSSH is not installed; a TCP service stands in for it" : "ssh: OpenSSH, through the agent to a real sshd");
