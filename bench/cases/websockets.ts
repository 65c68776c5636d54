/** Cases of WebSockets: an echo one at a time, many in flight, and large messages. */
import type { WebSocketLoad, WebSocketResult } from "../load/websocket-load.ts";
import { perMegabyte, perMessage } from "../measure/metrics.ts";
import { sampled } from "../measure/sample.ts";
import { runProgram } from "../program.ts";
import { type Case, MB, TINY_COUNT } from "./case.ts";

const SMALL_MESSAGE_BYTES = 64;
const LARGE_MESSAGE_BYTES = 64 * 1024;
const LARGE_IN_FLIGHT = 8;

function echo(name: string, bytes: number, inFlight: number): Case {
  return {
    name,
    systems: ["direct", "workerd-proxy", "floor", "postern"],
    sample: async (system, pace) => {
      if (system.websocket === undefined) return undefined;
      const load: WebSocketLoad = { target: system.websocket, bytes, inFlight, seconds: pace.seconds, ...(pace.tiny ? { count: TINY_COUNT } : {}) };
      const { result, used } = await sampled(system.parts(), () => runProgram<WebSocketResult>("websocket-load.ts", load).done);
      const latency = { p50_ms: result.p50us / 1000, p99_ms: result.p99us / 1000, errors: result.errors };
      const megabytes = (result.messages * bytes) / MB;
      if (bytes === SMALL_MESSAGE_BYTES) return { messages_per_s: result.messages / result.seconds, ...latency, ...perMessage(used, result.messages) };
      // Each way.
      return { MBps: megabytes / result.seconds, ...latency, ...perMegabyte(used, megabytes) };
    },
  };
}

export const WEBSOCKET_CASES: readonly Case[] = [echo("websocket-echo-1", SMALL_MESSAGE_BYTES, 1), echo("websocket-echo-64", SMALL_MESSAGE_BYTES, 64), echo("websocket-echo-64k", LARGE_MESSAGE_BYTES, LARGE_IN_FLIGHT)];
