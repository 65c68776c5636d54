/**
 * The world of the scenarios: the whole product with three sites, two identity providers, a
 * directory, transmitters of security events, an EDR and an operator. People are in person.ts.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ADMIN_API } from "../../../protocol/paths.ts";
import type { ExplainedRequestAnswer } from "../../../protocol/admin-api.ts";
import { loopbackFetch, type LoopbackAnswer } from "../../../start/loopback-http.ts";
import { type Stack, startStack } from "../../../start/stack.ts";
import { temporaryState, until } from "../../start/running-stack.ts";
import { type OwnIssuer, startOwnIssuer } from "../credentials/own-issuer.ts";
import { type Operator, operatorOf } from "../revocation/operator.ts";
import { startStampingOrigin, type StampingOrigin } from "../revocation/stamping-origin.ts";
import { tcpApp, type TcpApp } from "../tcp/stage.ts";
import { AUDIENCE, documentOf, SECRETS } from "./document.ts";
import { PLACES, type Place } from "./places.ts";

/** Whose people: enterprise-IDs are `own`, federated and other-IDs are `partner`. */
export type Provider = "own" | "partner";

export interface World {
  readonly stack: Stack;
  readonly launcher: string;
  readonly operator: Operator;
  readonly issuers: Readonly<Record<Provider, OwnIssuer>>;
  readonly web: StampingOrigin;
  readonly echo: TcpApp;
  readonly at: (app: string, path?: string) => string;
  /** The header that says where a connection comes from. */
  readonly from: (place: Place) => Record<string, string>;
  /** Applies the document with these policies besides, a list item a line. */
  readonly apply: (more?: string) => Promise<void>;
  /** An event of CAEP or RISC about somebody, from their provider. */
  readonly event: (type: string, provider: Provider, sub: string, payload?: object) => Promise<void>;
  /** The directory of `own`. */
  readonly scim: (method: string, path: string, body?: unknown) => Promise<unknown>;
  /** Puts somebody of `own` into a group of the directory, or takes them out. */
  readonly member: (operation: "add" | "remove", group: string, scimId: string) => Promise<void>;
  /** A verdict of the EDR or of a gateway. */
  readonly verdict: (path: string, facts: Readonly<Record<string, unknown>>) => Promise<void>;
  /** What the record says that the decision on a request was. */
  readonly recorded: (requestId: string) => Promise<ExplainedRequestAnswer>;
  readonly serviceToken: (name: string) => Promise<string>;
  readonly end: () => Promise<void>;
}

const VERDICT_LIFE_MS = 600_000;

const good = (answer: LoopbackAnswer, what: string): string => {
  if (answer.status > 299) throw new Error(`${what}: ${answer.status} ${answer.text.slice(0, 300)}`);
  return answer.text;
};

export async function startWorld(): Promise<World> {
  const state = temporaryState();
  const [web, echo] = [await startStampingOrigin(), await tcpApp((socket) => void socket.pipe(socket))];
  const issuers = { own: await startOwnIssuer(), partner: await startOwnIssuer() };
  const release = async (): Promise<void> => {
    await Promise.all([web.close(), issuers.own.close(), issuers.partner.close()]);
    echo.close();
    state.remove();
  };
  const addresses = { own: issuers.own.issuer, partner: issuers.partner.issuer, web: web.url, echo: echo.url };
  const documentFile = join(state.path, "own.yaml");
  writeFileSync(documentFile, documentOf(addresses));
  const stack = await startStack({ stateDirectory: join(state.path, "state"), port: 0, environment: SECRETS, documentFile, testFacts: true }).catch(async (cause: unknown) => {
    await release();
    throw cause;
  });
  const { launcher } = stack;
  const operator = operatorOf(launcher, stack.tokenFile);
  const tokens = new Map<string, string>();
  const groups = new Map<string, string>();

  const scim: World["scim"] = async (method, path, body) => {
    const headers = { authorization: `Bearer ${SECRETS.NIST_SCIM_TOKEN}`, "content-type": "application/scim+json" };
    const answer = await loopbackFetch(`${launcher}/.postern/scim/v2${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }), timeoutMs: 45_000 });
    const text = good(answer, `SCIM ${method} ${path}`);
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  };
  const groupId = async (name: string): Promise<string> => {
    const known = groups.get(name) ?? ((await scim("POST", "/Groups", { displayName: name })) as { id: string }).id;
    groups.set(name, known);
    return known;
  };
  const serviceToken: World["serviceToken"] = async (name) => {
    const known = tokens.get(name) ?? (await operator.createService(name));
    tokens.set(name, known);
    return known;
  };

  return {
    stack,
    launcher,
    operator,
    issuers,
    web,
    echo,
    at: (app, path = "/") => `${launcher.replace("//", `//${app}.`)}${path}`,
    from: (place) => ({ [stack.factsHeader ?? ""]: JSON.stringify(PLACES[place]) }),
    apply: async (more = "") => void (await operator.apply(documentOf(addresses, more))),
    event: async (type, provider, sub, payload = {}) => {
      const { issuer, sign } = issuers[provider];
      const [profile = "", name = ""] = type.split("/");
      const body = await sign(
        { iss: issuer, aud: AUDIENCE, iat: Math.floor(Date.now() / 1_000), jti: crypto.randomUUID(), sub_id: { format: "iss_sub", iss: issuer, sub }, events: { [`https://schemas.openid.net/secevent/${profile}/event-type/${name}`]: payload } },
        { typ: "secevent+jwt" },
      );
      good(await loopbackFetch(`${launcher}/.postern/ssf/${provider}-feed`, { method: "POST", headers: { "content-type": "application/secevent+jwt" }, body, timeoutMs: 45_000 }), type);
    },
    scim,
    member: async (operation, group, scimId) => {
      const change = operation === "add" ? { op: "add", path: "members", value: [{ value: scimId }] } : { op: "remove", path: `members[value eq "${scimId}"]` };
      await scim("PATCH", `/Groups/${await groupId(group)}`, { schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], Operations: [change] });
    },
    verdict: async (path, facts) => {
      const expires = new Date(Date.now() + VERDICT_LIFE_MS).toISOString();
      const body = JSON.stringify({ facts: Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, { value, expires_at: expires }])) });
      const headers = { authorization: `Bearer ${await serviceToken("edr")}`, "content-type": "application/json" };
      good(await loopbackFetch(`${launcher}${ADMIN_API}${path}/facts`, { method: "POST", headers, body, timeoutMs: 45_000 }), path);
    },
    recorded: async (requestId) => {
      let answer: LoopbackAnswer | undefined;
      await until(async () => {
        answer = await operator.call("GET", `/explain/${requestId}`);
        return answer.status === 200;
      }, `the record of ${requestId}`);
      return JSON.parse(answer?.text ?? "") as ExplainedRequestAnswer;
    },
    serviceToken,
    end: async () => {
      await stack.stop();
      await release();
    },
  };
}
