/**
 * How a row of the corpus is sent and judged: either it is refused and nothing reaches the app,
 * or the app sees exactly one request whose path is the one on record. The rows are in the tests.
 */
import { expect } from "vitest";
import type { EdgeUnderTest } from "./edge-under-test.ts";
import { type RawAnswer, sendRaw, valuesOf } from "./raw-client.ts";
import type { Hit, RecordingOrigin } from "./recording-origin.ts";

export interface Request {
  readonly line: string;
  /** Each "Name: value", without line end. */
  readonly headers?: readonly string[];
  readonly app?: string;
  /** In place of the app's own. */
  readonly host?: string;
  /** Presents the service's token; default true. */
  readonly signedIn?: boolean;
  /** After the blank line. */
  readonly body?: string;
}

/** The bytes of a request. */
export function bytesOf(edge: EdgeUnderTest, { line, headers = [], app = "open", host, signedIn = true, body = "" }: Request): string {
  const more = headers.map((one) => `${one}\r\n`).join("");
  return `${line} HTTP/1.1\r\nHost: ${host ?? edge.hostOf(app)}\r\n${signedIn ? edge.bearer : ""}${more}\r\n${body}`;
}

export type Expected =
  /** One of these statuses, and no hit. `code`: of our own JSON answer; absent where the runtime answers first. */
  | { readonly refused: number | readonly number[]; readonly code?: string }
  /** Exactly one hit with this request line's method and target. */
  | { readonly passes: string };

export interface Outcome {
  readonly answer: RawAnswer | undefined;
  readonly answers: readonly RawAnswer[];
  readonly hits: readonly Hit[];
}

/** Sends bytes on one connection, half-closes it, and resolves when the edge has closed it: every request in them is done by then. */
export async function send(edge: EdgeUnderTest, origin: RecordingOrigin, bytes: string): Promise<Outcome> {
  const before = origin.hits.length;
  const { answers, closed } = await sendRaw(edge.port, bytes, { answers: Number.POSITIVE_INFINITY, halfClose: true });
  expect(closed, "the edge ends the connection").toBe(true);
  return { answer: answers[0], answers, hits: origin.hits.slice(before) };
}

/** What passed, for the comparison with the record. */
export interface Passed {
  readonly requestId: string;
  readonly hit: Hit;
}

/** Judges one row; what passed is added to `passed`. */
export async function judge(edge: EdgeUnderTest, origin: RecordingOrigin, bytes: string, expected: Expected, passed: Passed[]): Promise<Outcome> {
  const outcome = await send(edge, origin, bytes);
  const { answer, hits } = outcome;
  if ("refused" in expected) {
    expect(hits, "nothing reaches the app").toEqual([]);
    expect([expected.refused].flat()).toContain(answer?.status);
    if (expected.code !== undefined) expect(answer?.body).toContain(`"code":"${expected.code}"`);
  } else {
    expect(hits.map((hit) => `${hit.method} ${hit.target}`)).toEqual([expected.passes]);
    expect(answer?.status).toBe(200);
    const [hit] = hits;
    if (hit !== undefined) passed.push({ requestId: valuesOf(answer, "postern-request-id")[0] ?? "", hit });
  }
  return outcome;
}

/** The path and method that were decided on are those that the app received, request by request. */
export async function expectRecorded(edge: EdgeUnderTest, passed: readonly Passed[]): Promise<void> {
  expect(passed.length).toBeGreaterThan(0);
  for (const { requestId, hit } of passed) {
    const { method, path, effect } = await edge.recorded(requestId);
    expect({ method, path, effect }).toEqual({ method: hit.method, path: hit.target.split("?")[0], effect: "allow" });
  }
}
