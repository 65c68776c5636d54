/**
 * Serves an http stream from an origin: the stream's head becomes a request, the exchange's
 * events become the answer. Not the exchange itself (http-exchange.ts).
 */
import type { StreamHandler, TunnelStream } from "../channel/tunnel-stream.ts";
import type { AnswerOk, OpenHead, UpstreamErrorCode } from "../protocol/head.ts";
import { encodeAnswerHead } from "../protocol/head.ts";
import { AnswerBody } from "./answer-body.ts";
import type { DialError } from "./dial.ts";
import { valuesOf, without } from "./hop-by-hop.ts";
import { HttpExchange } from "./http-exchange.ts";
import type { ExchangeFailure, RequestBody } from "./http-exchange.ts";
import type { Origin } from "./origin.ts";
import type { SegmentRequests } from "./segment-requests.ts";
import type { App } from "./site-config.ts";
import { UploadedBody } from "./uploaded-body.ts";

/** Told once, with the code under which the answer failed or undefined if it was whole. */
export type Finished = (failure: UpstreamErrorCode | undefined) => void;

/** Starts the exchange and returns the stream's new handler. */
export function serveHttp(stream: TunnelStream, head: OpenHead, app: App, origin: Origin, finished: Finished, segments?: SegmentRequests): StreamHandler {
  let answered = false;
  const fail = (code: UpstreamErrorCode, detail: string): void => {
    answer.destroy();
    upload.destroy();
    // After the head a broken body can only be told by breaking the stream (promise 7).
    if (answered) stream.reset();
    else refuseStream(stream, code, detail);
    finished(code);
  };
  const exchange = new HttpExchange(
    { method: head.method, path: head.path, headers: originHeaders(head, app, origin), body: requestBody(head) },
    { agent: origin.agent, dial: () => origin.dial(), timeouts: { firstByteMs: app.firstByteMs, idleMs: app.idleMs } },
    {
      head: (status, reason, headers) => {
        answered = true;
        const said = answerHead(head.method, status, reason, headers);
        const encoded = encodeAnswerHead(said);
        if (encoded.ok) {
          stream.write(encoded.value);
          answer.announced(said.length);
        } else {
          exchange.destroy();
          upload.destroy();
          refuseStream(stream, "upstream_protocol", encoded.error);
          finished("upstream_protocol");
        }
      },
      body: (bytes) => answer.write(bytes),
      end: () => {
        upload.destroy();
        answer.end(() => finished(undefined));
      },
      failed: (failure) => {
        const { code, detail } = upstreamError(failure);
        fail(code, detail);
      },
    },
  );
  const broken = (): void => {
    exchange.destroy();
    fail("upstream_reset", "segment");
  };
  const answer = new AnswerBody(stream, segments, app.idleMs, { divert: () => exchange.divert(), hold: () => exchange.hold(), resume: () => exchange.resume(), broken });
  const upload = new UploadedBody(stream, segments, head.length, app.idleMs, { upload: (bytes, done) => exchange.upload(bytes, done), end: () => exchange.uploadEnd(), broken });
  exchange.start();
  return {
    data: (bytes) => upload.data(bytes),
    end: () => upload.end(),
    gone: () => {
      exchange.destroy();
      answer.destroy();
      upload.destroy();
      finished(undefined);
    },
    drained: () => answer.drained(),
    ticket: (ticket) => (ticket.direction === "down" ? answer : upload).ticket(ticket),
  };
}

/** Answers with an error head and ends the stream; what still comes from the edge is dropped. */
export function refuseStream(stream: TunnelStream, error: UpstreamErrorCode, detail?: string): void {
  const head = encodeAnswerHead({ v: 1, error, ...(detail !== undefined && detail !== "" && { detail: detail.slice(0, 200) }) });
  if (!head.ok) return stream.reset();
  stream.write(head.value);
  stream.end();
  stream.handler = {
    data: (bytes) => stream.consumed(bytes.length),
    end: () => undefined,
    gone: () => undefined,
    drained: () => undefined,
  };
}

function requestBody(head: OpenHead): RequestBody {
  if (head.body === "none") {
    // A POST without body says so; a GET says nothing (RFC 9110 §8.6).
    return /^(?:POST|PUT|PATCH)$/.test(head.method) ? { kind: "known", bytes: 0 } : { kind: "none" };
  }
  return head.length === undefined ? { kind: "unknown" } : { kind: "known", bytes: head.length };
}

/** The stream's headers with the Host that the app wants to see (P23), first as RFC 9112 §3.2 asks. */
export function originHeaders(head: OpenHead, app: App, origin: Origin): [string, string][] {
  const host =
    typeof app.host === "object" ? app.host.literal : app.host === "upstream" ? origin.authority : (valuesOf(head.headers, "host")[0] ?? origin.authority);
  return [["Host", host], ...without(head.headers, "host")];
}

/** The answer's head; a length only where a body follows and the origin announced it. */
export function answerHead(method: string, status: number, reason: string, headers: [string, string][]): AnswerOk {
  const bodiless = method === "HEAD" || status === 204 || status === 304 || status === 205;
  const announced = valuesOf(headers, "content-length")[0];
  const length = announced !== undefined && /^[0-9]{1,15}$/.test(announced) ? Number(announced) : undefined;
  return {
    v: 1,
    status,
    ...(/^[\x20-\x7e]{1,256}$/.test(reason) && { reason }),
    headers,
    body: bodiless ? "none" : "stream",
    ...(!bodiless && length !== undefined && { length }),
  };
}

/** The wire's code for a failure, and a short cause for operators. */
function upstreamError(failure: ExchangeFailure): { readonly code: UpstreamErrorCode; readonly detail: string } {
  if (failure.kind === "dial") return dialFailure(failure.error);
  const { kind } = failure;
  switch (kind) {
    case "first_byte_timeout":
    case "idle_timeout":
      return { code: "upstream_timeout", detail: kind };
    case "closed_early":
      return { code: "upstream_reset", detail: kind };
    case "bad_response":
      return { code: "upstream_protocol", detail: kind };
    case "bad_request":
      return { code: "bad_open", detail: kind };
    default:
      return kind satisfies never;
  }
}

export function dialFailure(error: DialError): { readonly code: UpstreamErrorCode; readonly detail: string } {
  switch (error.failure) {
    case "refused_here":
      return { code: "not_allowed", detail: error.refusal?.kind === "forbidden_address" ? `forbidden_address ${error.refusal.address}` : (error.refusal?.kind ?? "") };
    case "dns":
      return { code: "upstream_name", detail: error.code ?? "" };
    case "connect":
      return { code: "upstream_refused", detail: error.code ?? "" };
    case "connect_timeout":
      return { code: "upstream_timeout", detail: "connect" };
    case "tls":
      return { code: "upstream_tls", detail: error.code ?? "" };
    default:
      return error.failure satisfies never;
  }
}
