/**
 * From an admitted stream to the answer the browser gets: writes the stream-open, waits for the
 * app's head under a deadline, turns it into a Response. Not the decision (tunnel.ts) and not
 * the bytes (the relays).
 */
import type { App } from "../../policy/document.ts";
import type { AnswerError, AnswerOk, HeaderField, OpenHead } from "../../protocol/head.ts";
import type { ConnectorLink } from "./connector-link.ts";
import type { Answer, HttpRelay } from "./http-relay.ts";
import type { LiveStream } from "./live-stream.ts";
import { responseHeaders } from "./response-headers.ts";
import { REFUSAL_HEADER, type OpenContext, type Refusal, type RefusalCode } from "./rpc.ts";
import type { Admitted } from "../signer/rpc.ts";

export interface Opening {
  readonly open: OpenContext;
  readonly admission: { readonly admitted: Admitted; readonly link: ConnectorLink; readonly policy: { readonly version: number } };
  readonly relay: HttpRelay;
  readonly number: number;
  readonly stream: LiveStream;
  readonly app: App | undefined;
  readonly body: ReadableStream<Uint8Array> | null;
  /** Sends the request once more, to another connector; undefined when it may not be, or there is none. */
  readonly again: (() => Promise<Response> | undefined) | undefined;
}

/** Beyond the connector's own deadlines: what a frame may take there and back. */
const ANSWER_SLACK_MS = 5_000;
const NULL_BODY_STATUS = new Set([101, 204, 205, 304]);

/** An answer for the worker to explain; no header of an app can look like it (response-headers.ts). */
export function refuse(refusal: Refusal): Response {
  return new Response(null, { status: 403, headers: { [REFUSAL_HEADER]: JSON.stringify(refusal) } });
}

export async function answerHttp(opening: Opening): Promise<Response> {
  const { open, relay, number, app, body, admission } = opening;
  if (sendOpen(opening, "http") === 0) return refused(opening, "upstream_protocol", "headers_too_large");
  if (body === null) admission.link.mux.end(number);
  admission.link.flush();
  if (body !== null) void relay.upload(body, app?.maxBody, open.length);
  const answer = await answered(opening);
  if ("code" in answer) return declined(answer, opening);
  const headers = headersFor(answer, opening);
  const bodiless = NULL_BODY_STATUS.has(answer.status) || open.method === "HEAD" || answer.body === "none" || answer.length === 0;
  const init: ResponseInit = { status: answer.status, headers, encodeBody: "manual" };
  if (answer.reason !== undefined && answer.reason !== "") init.statusText = answer.reason;
  if (bodiless) {
    relay.finishWithoutBody();
    return new Response(null, init);
  }
  const whole = answer.length === undefined ? undefined : relay.whole(answer.length);
  if (whole !== undefined) return new Response(whole, init);
  const type = answer.headers.find(([name]) => name.toLowerCase() === "content-type")?.[1] ?? "";
  const encoded = answer.headers.some(([name]) => name.toLowerCase() === "content-encoding");
  const eventStream = type.toLowerCase().startsWith("text/event-stream") && !encoded && answer.length === undefined;
  return new Response(ofLength(relay.body(eventStream), answer.length), init);
}

/** The runtime keeps a Content-Length only of a stream that it knows to be that long, and breaks off one that is not. */
function ofLength(body: ReadableStream<Uint8Array>, length: number | undefined): ReadableStream<Uint8Array> {
  if (length === undefined) return body;
  const fixed = new FixedLengthStream(length);
  // A broken body errors the other end by itself.
  body.pipeTo(fixed.writable).catch(() => undefined);
  return fixed.readable;
}

/** `accept` makes the browser's end once the app said 101; it is given what came right after the head. */
export async function answerWebSocket(opening: Opening, accept: (early: Uint8Array[]) => WebSocket): Promise<Response> {
  const { relay } = opening;
  if (sendOpen(opening, "websocket") === 0) return refused(opening, "upstream_protocol", "headers_too_large");
  opening.admission.link.flush();
  const answer = await answered(opening);
  if ("code" in answer) return declined(answer, opening);
  if (answer.status !== 101) {
    // The app declined the upgrade: its answer is an ordinary one.
    const headers = headersFor(answer, opening);
    if (NULL_BODY_STATUS.has(answer.status) || answer.body === "none") {
      relay.finishWithoutBody();
      return new Response(null, { status: answer.status, headers });
    }
    return new Response(relay.body(false), { status: answer.status, headers, encodeBody: "manual" });
  }
  const webSocket = accept(relay.handOver());
  const headers = new Headers();
  const protocol = answer.headers.find(([name]) => name.toLowerCase() === "sec-websocket-protocol")?.[1];
  if (protocol !== undefined) headers.set("Sec-WebSocket-Protocol", protocol);
  headers.set("Postern-Request-Id", opening.open.request);
  return new Response(null, { status: 101, webSocket, headers });
}

/** A request that its connector lost before a byte of the answer came is sent once more, if it may be. */
function declined(refusal: Refusal, { relay, again }: Opening): Promise<Response> | Response {
  const { brokenBy } = relay;
  const isLost = refusal.code === "upstream_reset" && brokenBy !== undefined && "broken" in brokenBy && brokenBy.broken === "reset";
  return (isLost ? again?.() : undefined) ?? refuse(refusal);
}

/** Answers the bytes of the stream-open; 0 when it cannot be one. */
export function sendOpen({ open, admission, number }: Pick<Opening, "open" | "admission" | "number">, kind: OpenHead["kind"]): number {
  const assertion = kind === "tcp" ? "" : admission.admitted.assertion;
  const headers: HeaderField[] = assertion === "" ? [...open.headers] : [...open.headers, ["X-Postern-Assertion", assertion]];
  const head: OpenHead = {
    v: 1,
    kind,
    app: open.ask.app,
    admission: admission.admitted.digest,
    n: number,
    req: open.request,
    method: open.method,
    path: open.target,
    headers,
    body: kind === "http" ? open.body : "stream",
    ...(open.length === undefined ? {} : { length: open.length }),
  };
  return admission.link.sendHead(number, head, admission.admitted.admission);
}

function refused({ relay, admission }: Opening, code: RefusalCode, detail: string): Response {
  relay.reset();
  return refuse({ code, policyVersion: admission.policy.version, detail });
}

async function answered({ relay, app, admission }: Opening): Promise<AnswerOk | Refusal> {
  const deadline = (app?.timeouts.connect ?? 5_000) + (app?.timeouts.firstByte ?? 60_000) + ANSWER_SLACK_MS;
  const policyVersion = admission.policy.version;
  let answer: Answer | undefined = await relay.head(deadline);
  if (answer === undefined) {
    relay.reset();
    return { code: "upstream_timeout", policyVersion, detail: "no answer from the connector" };
  }
  // The head is the answer's first byte: it too waits for a renewal, and goes nowhere without one (M4).
  if ("status" in answer && !(await relay.mayPass())) answer = relay.brokenBy ?? { broken: "reset" };
  if ("broken" in answer) {
    if (answer.broken === "revoked" || answer.broken === "expired") return { code: "revoked", policyVersion };
    if (answer.broken === "policy" || answer.broken === "limit") return { code: "denied", policyVersion };
    return { code: answer.broken === "link" ? "no_connector" : "upstream_reset", policyVersion, detail: answer.broken };
  }
  if ("error" in answer) {
    relay.finishWithoutBody();
    return { code: refusalOf(answer), policyVersion, ...(answer.detail === undefined ? {} : { detail: answer.detail }) };
  }
  return answer;
}

function refusalOf({ error }: AnswerError): RefusalCode {
  switch (error) {
    case "bad_admission":
    case "bad_open":
      return "unavailable";
    case "not_allowed":
      return "upstream_refused";
    default:
      return error;
  }
}

function headersFor(answer: AnswerOk, { open, app }: Opening): [string, string][] {
  const upstreamHost = app !== undefined && app.host !== "forwarded";
  const headers = responseHeaders(answer.headers, {
    set: app?.headers.response.set ?? {},
    remove: app?.headers.response.remove ?? [],
    ...(upstreamHost ? { rewriteOrigin: { from: app.upstreams.map(withoutDefaultPort), to: open.publicOrigin } } : {}),
  });
  headers.push(["Postern-Request-Id", open.request]);
  return headers;
}

const withoutDefaultPort = (upstream: string): string => upstream.replace(/^(http:\/\/.*):80$/, "$1").replace(/^(https:\/\/.*):443$/, "$1");
