/**
 * The few calls of the admin API that a start needs: readiness, setup, apply, a service, an
 * enrolment token. The same calls that `postern setup` and `postern apply` make; no side door.
 */
import { z } from "zod";
import { type LoopbackAnswer, loopbackFetch } from "./loopback-http.ts";
import { StartError } from "./start-error.ts";

const Refusal = z.object({ error: z.looseObject({ code: z.string(), message: z.string(), fix: z.array(z.string()).default([]) }) });
const Token = z.looseObject({ token: z.string().min(1) });

/** Time between two looks at something that is not ready yet. */
const POLL_MS = 50;

const API = "/.postern/api/v1";

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

/** The refusal as the edge words it. Error texts of the edge hold no secret (promise 10). */
function refused(what: string, answer: LoopbackAnswer): StartError {
  const refusal = Refusal.safeParse(parsed(answer.text));
  if (!refusal.success) return new StartError(`the edge answered ${answer.status} to ${what}`, "read edge.log in the state folder");
  const { code, message, fix } = refusal.data.error;
  return new StartError(`the edge refused ${what}: ${message} (${code})`, fix.join("; ") || "correct the document and start again");
}

function token(what: string, answer: LoopbackAnswer): string {
  const body = Token.safeParse(parsed(answer.text));
  if (answer.status < 200 || answer.status > 299 || !body.success) throw refused(what, answer);
  return body.data.token;
}

export interface EdgeApi {
  readonly launcher: string;
  /** The first document, with the setup key; resolves with an operator's token. */
  readonly setup: (key: string, document: string) => Promise<string>;
  /** Makes a document the live policy. */
  readonly apply: (operatorToken: string, document: string) => Promise<void>;
  /** Makes a service; resolves with its token. */
  readonly createService: (operatorToken: string, name: string, expires: string) => Promise<string>;
  /** A one-time token that enrols a connector at a site. */
  readonly enrollToken: (operatorToken: string, site: string) => Promise<string>;
}

const YAML = { "content-type": "application/yaml" };
const JSON_TYPE = { "content-type": "application/json" };
const bearer = (secret: string): Record<string, string> => ({ authorization: `Bearer ${secret}` });

/** The API of the edge whose launcher is at this origin. */
export function edgeApi(launcher: string): EdgeApi {
  const post = (path: string, headers: Record<string, string>, body: string): Promise<LoopbackAnswer> => loopbackFetch(`${launcher}${API}${path}`, { method: "POST", headers, body }).catch((cause: unknown) => {
      throw new StartError(`the edge does not answer: ${cause instanceof Error ? cause.message : "no reason given"}`, "read edge.log in the state folder");
    });
  return {
    launcher,
    setup: async (key, document) => token("the setup", await post("/setup", { ...bearer(key), ...YAML }, document)),
    apply: async (operatorToken, document) => {
      const answer = await post("/policy", { ...bearer(operatorToken), ...YAML }, document);
      if (answer.status < 200 || answer.status > 299) throw refused("the changed document", answer);
    },
    createService: async (operatorToken, name, expires) => token(`the service ${name}`, await post("/services", { ...bearer(operatorToken), ...JSON_TYPE }, JSON.stringify({ name, expires }))),
    enrollToken: async (operatorToken, site) => token(`a connector for ${site}`, await post("/enroll-tokens", { ...bearer(operatorToken), ...JSON_TYPE }, JSON.stringify({ site }))),
  };
}

/**
 * Waits until a URL answers 200. `isHopeless` tells that waiting is in vain (the process ended).
 * Rejects with StartError after `timeoutMs`.
 */
export async function untilReady(url: string, what: string, timeoutMs: number, isHopeless: () => boolean): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let last = "nothing";
  while (performance.now() < deadline && !isHopeless()) {
    const answer = await loopbackFetch(url, { timeoutMs: 5_000 }).catch(() => undefined);
    if (answer?.status === 200) return;
    last = answer === undefined ? "nothing" : `status ${answer.status}`;
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
  throw new StartError(`${what} ${isHopeless() ? "ended" : "did not become ready in time"} (last answer: ${last})`, "read the logs in the state folder");
}
