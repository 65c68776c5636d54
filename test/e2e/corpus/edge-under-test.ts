/**
 * One edge, one site and one connector with a document of the test's own, for raw requests that
 * present a service token. Started once a file. Not for people: sign-in is in demo-visit.ts.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { edgeApi } from "../../../start/edge-api.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { type Stack, startStack } from "../../../start/stack.ts";
import { DEMO_PROVIDER } from "../../start/own-document.ts";
import { temporaryState, until } from "../../start/running-stack.ts";

export interface EdgeUnderTest {
  readonly stack: Stack;
  readonly port: number;
  /** "id.postern.localhost:PORT" */
  readonly hostOf: (app: string) => string;
  /** The service's token, and the header line that presents it. */
  readonly token: string;
  readonly bearer: string;
  readonly factsHeader: string;
  /** GET of the admin API, parsed. */
  readonly api: (path: string) => Promise<{ readonly status: number; readonly json: Record<string, unknown> }>;
  /** The decision on record for a request; waits for the batch that brings it. */
  readonly recorded: (requestId: string) => Promise<{ readonly method: string; readonly path: string; readonly effect: string }>;
  readonly stop: () => Promise<void>;
}

/** The service that raw requests present. */
export const SERVICE = "probe";

/** `sites`, `apps` and `policies` are YAML list items, each line indented by two. */
export interface DocumentParts {
  readonly apps: string;
  readonly policies: string;
  /** More sites than `office`. */
  readonly sites?: string;
  /** A provider of the demo, for tests that sign somebody in. */
  readonly withPeople?: boolean;
  readonly v8Flags?: readonly string[];
}

const PEOPLE = `identity:
  providers:
    - ${DEMO_PROVIDER}
`;

const documentOf = (parts: DocumentParts): string => `version: 1
domain: postern.localhost
${parts.withPeople === true ? PEOPLE : ""}sites:
  - { id: office }
${parts.sites ?? ""}apps:
${parts.apps}
policies:
  - { id: operators, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }
${parts.policies}
`;

/** Starts the stack and makes the service's token. */
export async function edgeUnderTest(parts: DocumentParts): Promise<EdgeUnderTest> {
  const state = temporaryState();
  const documentFile = join(state.path, "corpus.yaml");
  writeFileSync(documentFile, documentOf(parts));
  const stack = await startStack({ stateDirectory: join(state.path, "state"), port: 0, environment: {}, documentFile, testFacts: true, ...(parts.v8Flags === undefined ? {} : { v8Flags: parts.v8Flags }) });
  const operator = readFileSync(stack.tokenFile, "utf8").trim();
  const token = await edgeApi(stack.launcher).createService(operator, SERVICE, "1d");
  const api: EdgeUnderTest["api"] = async (path) => {
    const answer = await loopbackFetch(`${stack.launcher}/.postern/api/v1${path}`, { headers: { authorization: `Bearer ${operator}` } });
    return { status: answer.status, json: JSON.parse(answer.text) as Record<string, unknown> };
  };
  return {
    stack,
    port: stack.port,
    hostOf: (app) => `${app}.postern.localhost:${stack.port}`,
    token,
    bearer: `Authorization: Bearer ${token}\r\n`,
    factsHeader: stack.factsHeader ?? "",
    api,
    recorded: async (requestId) => {
      let found: Record<string, unknown> = {};
      await until(async () => {
        const answer = await api(`/explain/${requestId}`);
        found = answer.json;
        return answer.status === 200;
      }, `the record of ${requestId}`);
      const ask = found["ask"] as { method: string; path: string };
      return { method: ask.method, path: ask.path, effect: String(found["recorded_effect"]) };
    },
    stop: async () => {
      await stack.stop();
      state.remove();
    },
  };
}
