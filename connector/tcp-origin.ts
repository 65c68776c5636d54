/**
 * Serves a tcp stream: opaque bytes both ways with half-close, under credit both ways. Knows
 * nothing of what they mean; resumption and end-to-end TLS run above it (M18).
 */
import type { Socket } from "node:net";
import type { OpenHead } from "../protocol/head.ts";
import { encodeAnswerHead } from "../protocol/head.ts";
import { DialError, breakOff } from "./dial.ts";
import { dialFailure, refuseStream } from "./http-origin.ts";
import type { Finished } from "./http-origin.ts";
import type { Origin } from "./origin.ts";
import type { App } from "./site-config.ts";
import type { StreamHandler, TunnelStream } from "./tunnel-stream.ts";

export function serveTcp(stream: TunnelStream, _head: OpenHead, app: App, origin: Origin, finished: Finished): StreamHandler {
  let socket: Socket | undefined;
  let gone = false;
  let ended = false;
  /** What came before the connection stood; at most the stream's window. */
  let early: Uint8Array[] = [];
  const send = (to: Socket, bytes: Uint8Array): void => {
    to.write(bytes, () => stream.consumed(bytes.length));
  };
  origin.dial().then(
    (connected) => {
      if (gone) return void connected.destroy();
      socket = connected;
      const answer = encodeAnswerHead({ v: 1, status: 101, headers: [], body: "stream" });
      if (answer.ok) stream.write(answer.value);
      connected.on("data", (bytes: Uint8Array) => {
        if (!stream.write(bytes)) connected.pause();
      });
      connected.on("end", () => stream.end());
      connected.on("error", () => undefined);
      connected.on("close", (broken) => {
        if (gone) return;
        gone = true;
        // The app broke it, or closed while the edge still sends: say so instead of a clean end.
        if (broken || !stream.isOver) stream.reset();
        finished(broken ? "upstream_reset" : undefined);
      });
      if (app.idleMs !== undefined) connected.setTimeout(app.idleMs, () => connected.destroy(new DialError("connect_timeout")));
      for (const bytes of early) send(connected, bytes);
      early = [];
      if (ended) connected.end();
    },
    (error: unknown) => {
      if (gone) return;
      gone = true;
      const { code, detail } = dialFailure(error instanceof DialError ? error : new DialError("connect"));
      refuseStream(stream, code, detail);
      for (const bytes of early) stream.consumed(bytes.length);
      finished(code);
    },
  );
  return {
    data: (bytes) => {
      if (gone) stream.consumed(bytes.length);
      else if (socket === undefined) early.push(bytes);
      else send(socket, bytes);
    },
    end: () => {
      ended = true;
      socket?.end();
    },
    gone: () => {
      gone = true;
      early = [];
      breakOff(socket);
      finished(undefined);
    },
    drained: () => socket?.resume(),
  };
}
