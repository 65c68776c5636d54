/**
 * The few calls of the admin API that a start needs: readiness, setup, apply, a service, an
 * enrolment token. The same calls that `postern setup` and `postern apply` make; no side door.
 */
import { z } from "zod";
import { writtenSource } from "../policy/parse-document.ts";
import { ADMIN_API } from "../protocol/paths.ts";
import { type LoopbackAnswer, loopbackFetch } from "./loopback-http.ts";
import { StartError } from "./start-error.ts";

const Refusal = z.object({ error: z.looseObject({ code: z.string(), message: z.string(), fix: z.array(z.string()).default([]) }) });
const Applied = z.looseObject({ version: z.number() });
const Live = z.looseObject({ version: z.number(), text: z.string() });
const Token = z.looseObject({ token: z.string().min(1) });

/** Time between two looks at something that is not ready yet. */
const POLL_MS = 50;

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

/** The edge does not take the token. */
export class TokenRefusedError extends StartError {}

/** The refusal as the edge words it. Error texts of the edge hold no secret (promise 10). */
function refused(what: string, answer: LoopbackAnswer): StartError {
  const refusal = Refusal.safeParse(parsed(answer.text));
  if (!refusal.success) return new StartError(`the edge answered ${answer.status} to ${what}`, "read edge.log in the state folder");
  const { code, message, fix } = refusal.data.error;
  return new (answer.status === 401 ? TokenRefusedError : StartError)(`the edge refused ${what}: ${message} (${code})`, fix.join("; ") || "correct the document and start again");
}

function token(what: string, answer: LoopbackAnswer): string {
  const body = Token.safeParse(parsed(answer.text));
  if (answer.status < 200 || answer.status > 299 || !body.success) throw refused(what, answer);
  return body.data.token;
}

export interface EdgeApi {
  readonly launcher: string;
  /** The first document (YAML, as everywhere in start/), with the setup key; resolves with an operator's token. */
  readonly setup: (key: string, document: string) => Promise<string>;
  /** The live version, and whether it says what this document says; undefined when it is not shown to this token. */
  readonly live: (operatorToken: string, document: string) => Promise<{ readonly version: number; readonly isSame: boolean } | undefined>;
  /** Makes a document the live policy; resolves with its version. */
  readonly apply: (operatorToken: string, document: string) => Promise<number>;
  /** Makes a service; resolves with its token. */
  readonly createService: (operatorToken: string, name: string, expires: string) => Promise<string>;
  /** A one-time token that enrols a connector at a site. */
  readonly enrollToken: (operatorToken: string, site: string) => Promise<string>;
}

const JSON_TYPE = { "content-type": "application/json" };
const bearer = (secret: string): Record<string, string> => ({ authorization: `Bearer ${secret}` });

/** What the edge takes of a document that was read before. */
function canonicalOf(document: string): string {
  const written = writtenSource(document);
  if (!written.ok) throw new StartError(`the document cannot be read: ${written.error[0]?.message ?? ""}`, "postern check shows every problem");
  return written.value.canonical;
}

/** Whether the live text, JSON or the YAML that an older edge kept, says what the document says. */
function says(live: string, document: string): boolean {
  const written = writtenSource(live);
  return live === canonicalOf(document) || (written.ok && written.value.canonical === canonicalOf(document));
}

/** The API of the edge whose launcher is at this origin. */
export function edgeApi(launcher: string): EdgeApi {
  const post = (path: string, headers: Record<string, string>, body: string): Promise<LoopbackAnswer> => loopbackFetch(`${launcher}${ADMIN_API}${path}`, { method: "POST", headers, body }).catch((cause: unknown) => {
      throw new StartError(`the edge does not answer: ${cause instanceof Error ? cause.message : "no reason given"}`, "read edge.log in the state folder");
    });
  return {
    launcher,
    setup: async (key, document) => token("the setup", await post("/setup", { ...bearer(key), ...JSON_TYPE }, canonicalOf(document))),
    apply: async (operatorToken, document) => {
      const answer = await post("/policy", { ...bearer(operatorToken), ...JSON_TYPE }, canonicalOf(document));
      const body = Applied.safeParse(parsed(answer.text));
      if (answer.status < 200 || answer.status > 299 || !body.success) throw refused("the changed document", answer);
      return body.data.version;
    },
    live: async (operatorToken, document) => {
      const answer = await loopbackFetch(`${launcher}${ADMIN_API}/policy`, { headers: { ...bearer(operatorToken), accept: "application/json" } }).catch(() => undefined);
      const body = Live.safeParse(answer?.status === 200 ? parsed(answer.text) : undefined);
      return body.success ? { version: body.data.version, isSame: says(body.data.text, document) } : undefined;
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
