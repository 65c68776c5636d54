/**
 * Serves a websocket stream: an upgrade at the origin, then whole messages both ways with their
 * kind and close code, bounded by credit (M12). A failed upgrade is answered as the plain HTTP
 * answer that it was.
 */
import { WebSocket } from "ws";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { CLOSE_CODES, closeReason, sendableCloseCode } from "../protocol/close-codes.ts";
import type { OpenHead } from "../protocol/head.ts";
import { encodeAnswerHead } from "../protocol/head.ts";
import { MAX_WEBSOCKET_MESSAGE_BYTES } from "../protocol/limits.ts";
import { Opcode, WebSocketMessageReader, encodeWebSocketMessage, messageHeader } from "../protocol/websocket-messages.ts";
import { DialError, breakOff } from "./dial.ts";
import { errorCode } from "./failure.ts";
import { endToEnd, toPairs, valuesOf, without } from "./hop-by-hop.ts";
import { answerHead, dialFailure, originHeaders, refuseStream } from "./http-origin.ts";
import type { Finished } from "./http-origin.ts";
import type { Origin } from "./origin.ts";
import type { App } from "./site-config.ts";
import type { StreamHandler, TunnelStream } from "../channel/tunnel-stream.ts";

/** What `ws` writes itself; the browser's own would contradict it. */
const OURS = ["sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol", "sec-websocket-accept"] as const;
const MAX_HEAD_BYTES = 144 * 1024;
/** Close frame from the origin to socket destroyed: do not wait for a FIN that may never come. */
const CLOSE_WAIT_MS = 1_000;

export function serveWebSocket(stream: TunnelStream, head: OpenHead, app: App, origin: Origin, finished: Finished): StreamHandler {
  const fields = endToEnd(originHeaders(head, app, origin));
  const protocols = valuesOf(fields, "sec-websocket-protocol").flatMap((value) => value.split(",").map((token) => token.trim())).filter((token) => token !== "");
  const raw: { socket?: Socket } = {};
  let socket: WebSocket;
  try {
    const scheme = origin.upstream.scheme === "https" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${origin.authority}`, protocols, {
      perMessageDeflate: false,
      maxPayload: MAX_WEBSOCKET_MESSAGE_BYTES,
      followRedirects: false,
      handshakeTimeout: app.firstByteMs,
      headers: grouped(without(fields, ...OURS)),
      maxHeaderSize: MAX_HEAD_BYTES,
      // The path goes out as it came: a URL parser would rewrite it.
      finishRequest: (request) => {
        request.path = head.path;
        request.end();
      },
      ...{ closeTimeout: CLOSE_WAIT_MS },
      createConnection: ((_options: unknown, ready: (error: Error | null, socket?: unknown) => void) => {
        origin.dial().then(
          (connected) => {
            raw.socket = connected;
            ready(null, connected);
          },
          (error: Error) => ready(error),
        );
      }) as never,
    });
  } catch {
    refuseStream(stream, "bad_open", "websocket_request");
    finished("bad_open");
    return stream.handler ?? NOTHING;
  }
  return relay(stream, socket, raw, head.method, finished);
}

/** Errors of `ws` that are the app's breach of RFC 6455, by what the browser is told. */
const MESSAGE_FAULTS: Readonly<Record<string, { readonly code: number; readonly meaning: string } | undefined>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: CLOSE_CODES.message_too_large,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: CLOSE_CODES.message_too_large,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: CLOSE_CODES.message_too_large,
  WS_ERR_INVALID_UTF8: CLOSE_CODES.message_text,
};

const NOTHING: StreamHandler = { data: () => undefined, end: () => undefined, gone: () => undefined, drained: () => undefined };

function relay(stream: TunnelStream, socket: WebSocket, raw: { readonly socket?: Socket }, method: string, finished: Finished): StreamHandler {
  const reader = new WebSocketMessageReader();
  let upgrade: IncomingMessage | undefined;
  let plain: IncomingMessage | undefined;
  let open = false;
  let over = false;
  let early: Uint8Array[] = [];
  const finish = (code: Parameters<Finished>[0]): void => {
    if (over) return;
    over = true;
    finished(code);
  };
  /** Tells the browser how it ended, then ends the stream. */
  const close = (code: number, reason: string): void => {
    stream.write(encodeWebSocketMessage({ type: "close", code, reason }));
    stream.end();
    finish(undefined);
  };

  socket.on("upgrade", (response) => (upgrade = response));
  socket.on("open", () => {
    open = true;
    const headers = without(endToEnd(toPairs(upgrade?.rawHeaders ?? [])), "sec-websocket-accept", "sec-websocket-extensions", "content-length");
    const answer = encodeAnswerHead({ v: 1, status: 101, headers, body: "stream" });
    if (!answer.ok) {
      socket.terminate();
      refuseStream(stream, "upstream_protocol", answer.error);
      return finish("upstream_protocol");
    }
    stream.write(answer.value);
    const held = early;
    early = [];
    for (const bytes of held) forward(bytes);
  });
  socket.on("unexpected-response", (request, response) => {
    plain = response;
    const status = response.statusCode ?? 0;
    const answer = encodeAnswerHead(answerHead(method, status, response.statusMessage ?? "", endToEnd(toPairs(response.rawHeaders))));
    if (!answer.ok) {
      request.destroy();
      refuseStream(stream, "upstream_protocol", answer.error);
      return finish("upstream_protocol");
    }
    stream.write(answer.value);
    response.on("data", (bytes: Uint8Array) => {
      if (!stream.write(bytes)) response.pause();
    });
    response.on("end", () => {
      if (!response.complete) return;
      stream.end();
      finish(undefined);
    });
    response.on("error", () => undefined);
    response.on("close", () => {
      if (!over) stream.reset();
      finish("upstream_reset");
    });
  });
  socket.on("message", (data: Buffer, isBinary: boolean) => {
    stream.write(messageHeader(isBinary ? Opcode.binary : Opcode.text, data.length));
    if (!stream.write(data)) socket.pause();
  });
  /** What the app did wrong in the open WebSocket; its "close" event says only that the socket is gone. */
  let fault: { readonly code: number; readonly meaning: string } = CLOSE_CODES.upstream_lost;
  socket.on("error", (error) => {
    if (open) fault = MESSAGE_FAULTS[errorCode(error) ?? ""] ?? CLOSE_CODES.upstream_lost;
    if (over || open || plain !== undefined) return;
    const { code, detail } = error instanceof DialError ? dialFailure(error) : { code: upgradeFailure(error), detail: errorCode(error) ?? "" };
    refuseStream(stream, code, detail);
    finish(code);
  });
  socket.on("close", (code, reason) => {
    if (over || plain !== undefined) return;
    // 1006 is no close frame: the app's connection was lost.
    if (code === 1006) close(fault.code, fault.meaning);
    else close(sendableCloseCode(code), reason.toString("utf8"));
  });

  const forward = (bytes: Uint8Array): void => {
    const reads = reader.feed(bytes);
    let sent = false;
    // Credit goes back when the origin's socket took the last message of these bytes (M12).
    const credit = (): void => stream.consumed(bytes.length);
    for (const [index, read] of reads.entries()) {
      const last = index === reads.length - 1;
      switch (read.type) {
        case "text":
        case "binary":
          sent ||= last;
          socket.send(read.type === "text" ? read.text : read.bytes, last ? credit : undefined);
          break;
        case "ping":
        case "pong":
          break;
        case "close":
          socket.close(sendableCloseCode(read.code), closeReason(read.reason));
          break;
        case "error":
          socket.close(sendableCloseCode(read.code), read.reason);
          stream.reset();
          finish(undefined);
          break;
        default:
          read satisfies never;
      }
    }
    if (!sent) credit();
  };

  return {
    data: (bytes) => {
      if (over || plain !== undefined) stream.consumed(bytes.length);
      else if (open) forward(bytes);
      else early.push(bytes);
    },
    end: () => {
      // The edge ended without a close message: the browser is gone.
      if (!over && plain === undefined) socket.close(CLOSE_CODES.going_away.code);
    },
    gone: () => {
      early = [];
      breakOff(raw.socket);
      socket.terminate();
      finish(undefined);
    },
    drained: () => {
      if (plain !== undefined) plain.resume();
      else socket.resume();
    },
  };
}

function upgradeFailure(error: unknown): "upstream_timeout" | "upstream_reset" | "upstream_protocol" {
  if (error instanceof Error && error.message === "Opening handshake has timed out") return "upstream_timeout";
  const code = errorCode(error);
  return code === "ECONNRESET" || code === "EPIPE" ? "upstream_reset" : "upstream_protocol";
}

/** Pairs as the object that `ws` takes: repeated names become lists. */
function grouped(pairs: readonly (readonly [string, string])[]): { [name: string]: string | string[] } {
  const out: { [name: string]: string | string[] } = Object.create(null) as { [name: string]: string | string[] };
  const spelled = new Map<string, string>();
  for (const [name, value] of pairs) {
    const key = spelled.get(name.toLowerCase()) ?? name;
    spelled.set(name.toLowerCase(), key);
    const before = out[key];
    out[key] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return out;
}
