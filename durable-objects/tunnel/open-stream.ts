/**
 * From an admitted stream to the reply the worker gets: writes the stream-open, waits for the
 * app's head under a deadline, and turns it into a Response where one is asked for. Not the
 * decision (admission.ts), not the bytes (the relays), not replies that go in batches (carried.ts).
 */
import type { App } from "../../policy/document.ts";
import type { AnswerError, AnswerOk, HeaderField, OpenHead } from "../../protocol/head.ts";
import { headersOf } from "../headers-of.ts";
import type { ConnectorLink } from "./connector-link.ts";
import type { Answer, HttpRelay } from "./http-relay.ts";
import type { CutReason, LiveStream } from "./live-stream.ts";
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
  readonly again: (() => Promise<Reply> | undefined) | undefined;
}

/** What came of a request. The body of an answer is the relay's until somebody takes it. */
export type Reply =
  | { readonly kind: "refused"; readonly refusal: Refusal }
  | { readonly kind: "switched"; readonly response: Response }
  | Answered;

export interface Answered {
  readonly kind: "answered";
  readonly head: AnswerOk;
  /** What of its headers the browser gets. */
  readonly headers: [string, string][];
  readonly bodiless: boolean;
  readonly relay: HttpRelay;
  readonly policyVersion: number;
}

/** Idempotent (RFC 9110 §9.2.2): may be sent once more when nobody knows whether the app saw it. TRACE never comes here. */
export const REPEATABLE = /^(GET|HEAD|OPTIONS|PUT|DELETE)$/;
/** Beyond the connector's own deadlines: what a frame may take there and back. */
const ANSWER_SLACK_MS = 5_000;
const NULL_BODY_STATUS = new Set([101, 204, 205, 304]);

export const refuse = (refusal: Refusal): Reply => ({ kind: "refused", refusal });

export async function answerHttp(opening: Opening): Promise<Reply> {
  const { open, relay, number, app, body, admission } = opening;
  if (sendOpen(opening, "http") === 0) return refused(opening, "upstream_protocol", "headers_too_large");
  if (body === null) admission.link.mux.end(number);
  admission.link.flushSoon();
  if (body !== null) relay.upload(body, app?.maxBody, open.length);
  const answer = await answered(opening);
  if ("code" in answer) return declined(answer, opening);
  const bodiless = NULL_BODY_STATUS.has(answer.status) || open.method === "HEAD" || answer.body === "none" || answer.length === 0;
  return { kind: "answered", head: answer, headers: headersFor(answer, opening), bodiless, relay, policyVersion: admission.policy.version };
}

/** The reply as the worker's own fetch gets it. No header of an app can look like a refusal (response-headers.ts). */
export function responseOf(reply: Reply): Response {
  if (reply.kind === "refused") return new Response(null, { status: 403, headers: { [REFUSAL_HEADER]: JSON.stringify(reply.refusal) } });
  if (reply.kind === "switched") return reply.response;
  const { head, headers, bodiless, relay } = reply;
  const broken = brokenSince(reply);
  if (broken !== undefined) return responseOf(refuse(broken));
  const init: ResponseInit = { status: head.status, headers: headersOf(headers), encodeBody: "manual" };
  if (head.reason !== undefined && head.reason !== "") init.statusText = head.reason;
  // Only now is it over: until somebody took its head, a revocation found it.
  if (bodiless) relay.finishWithoutBody();
  if (bodiless) return new Response(null, init);
  const whole = head.length === undefined ? undefined : relay.whole(head.length);
  return new Response(whole ?? relay.bulk(head.length) ?? ofLength(relay.body(isEventStream(head)), head.length), init);
}

/** The refusal of an answer that was cut or broke while it waited to be taken. */
export function brokenSince({ relay, policyVersion }: Answered): Refusal | undefined {
  const by = relay.brokenBy;
  return by !== undefined && "broken" in by ? brokenRefusal(by.broken, policyVersion) : undefined;
}

export function isEventStream({ headers, length }: AnswerOk): boolean {
  const type = headers.find(([name]) => name.toLowerCase() === "content-type")?.[1] ?? "";
  if (length !== undefined || !type.toLowerCase().startsWith("text/event-stream")) return false;
  return !headers.some(([name]) => name.toLowerCase() === "content-encoding");
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
export async function answerWebSocket(opening: Opening, accept: (early: Uint8Array[]) => WebSocket): Promise<Reply> {
  const { relay } = opening;
  if (sendOpen(opening, "websocket") === 0) return refused(opening, "upstream_protocol", "headers_too_large");
  opening.admission.link.flush();
  const answer = await answered(opening);
  if ("code" in answer) return declined(answer, opening);
  if (answer.status !== 101) {
    // The app declined the upgrade: its answer is an ordinary one.
    const bodiless = NULL_BODY_STATUS.has(answer.status) || answer.body === "none";
    return { kind: "answered", head: answer, headers: headersFor(answer, opening), bodiless, relay, policyVersion: opening.admission.policy.version };
  }
  const webSocket = accept(relay.handOver());
  const headers = new Headers();
  const protocol = answer.headers.find(([name]) => name.toLowerCase() === "sec-websocket-protocol")?.[1];
  if (protocol !== undefined) headers.set("Sec-WebSocket-Protocol", protocol);
  headers.set("Postern-Request-Id", opening.open.request);
  return { kind: "switched", response: new Response(null, { status: 101, webSocket, headers }) };
}

/** A request that its connector lost before a byte of the answer came is sent once more, if it may be. */
async function declined(refusal: Refusal, { relay, again }: Opening): Promise<Reply> {
  const { brokenBy } = relay;
  const isLost = refusal.code === "upstream_reset" && brokenBy !== undefined && "broken" in brokenBy && brokenBy.broken === "reset";
  const second = isLost ? await again?.() : undefined;
  if (second === undefined) return refuse(refusal);
  // The first connector may have handed it on.
  return second.kind === "refused" ? refuse({ ...second.refusal, sent: true }) : second;
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

function refused({ relay, admission }: Opening, code: RefusalCode, detail: string): Reply {
  relay.giveUp();
  return refuse({ code, policyVersion: admission.policy.version, detail });
}

async function answered({ relay, app, admission }: Opening): Promise<AnswerOk | Refusal> {
  const deadline = (app?.timeouts.connect ?? 5_000) + (app?.timeouts.firstByte ?? 60_000) + ANSWER_SLACK_MS;
  const policyVersion = admission.policy.version;
  let answer: Answer | undefined = await relay.head(deadline);
  if (answer === undefined) {
    relay.giveUp();
    return { code: "upstream_timeout", policyVersion, detail: "no answer from the connector" };
  }
  // The head is the answer's first byte: it too waits for a renewal, and goes nowhere without one (M4).
  if ("status" in answer && !(await relay.mayPass())) answer = relay.brokenBy ?? { broken: "reset" };
  if ("broken" in answer) return brokenRefusal(answer.broken, policyVersion);
  if ("error" in answer) {
    relay.finishWithoutBody();
    return { code: refusalOf(answer), policyVersion, ...(answer.detail === undefined ? {} : { detail: answer.detail }) };
  }
  return answer;
}

function brokenRefusal(broken: CutReason | "reset" | "protocol", policyVersion: number): Refusal {
  if (broken === "revoked" || broken === "expired") return { code: "revoked", policyVersion, sent: true };
  if (broken === "policy" || broken === "step_up" || broken === "limit") return { code: "denied", policyVersion, sent: true };
  return { code: broken === "link" ? "no_connector" : "upstream_reset", policyVersion, detail: broken, sent: true };
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
