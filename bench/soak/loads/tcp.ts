/**
 * TCP through `postern tcp`: connections that live through all of it, each echoing numbered lines at
 * a steady rate. Not one may break or lose, double or swap a byte, whatever happens to the edge.
 */
import { connect, type Socket } from "node:net";
import { logTail } from "../../../start/processes.ts";
import type { Load, LoadGround } from "../load.ts";
import { linesOf, NamedLines } from "../named-lines.ts";
import { listenTcp } from "../tcp-listener.ts";
import { Failures, within } from "../soak.ts";

const CONNECTIONS_COUNT = 4;
const EVERY_MS = 50;
const CHUNK_BYTES = 8 * 1024;
/** What was sent is echoed by then, once the edge stays: a stream is resumed for 60 s (M18). */
const ECHOED_WITHIN_MS = 90_000;

export async function tcpLoad(ground: LoadGround): Promise<Load> {
  const { say } = ground;
  const failures = new Failures();
  const local = await listenTcp(ground, "line");
  let isOver = false;
  const connections = Array.from({ length: CONNECTIONS_COUNT }, (_, number) => {
    const name = `tcp${number}`;
    const socket: Socket = connect(local.port, "127.0.0.1");
    const sending = linesOf(name, Number.MAX_SAFE_INTEGER);
    const echo = new NamedLines(name, Number.MAX_SAFE_INTEGER);
    let rest: Buffer = Buffer.alloc(0);
    const state = { sent: 0, echo, socket };
    const timer = setInterval(() => {
      if (isOver || socket.writableNeedDrain) return;
      if (rest.length === 0) rest = sending.next().value as Buffer;
      const chunk = rest.subarray(0, CHUNK_BYTES);
      rest = rest.subarray(chunk.length);
      state.sent += chunk.length;
      socket.write(chunk);
    }, EVERY_MS);
    socket.on("data", (chunk: Buffer) => {
      const fault = echo.feed(chunk);
      if (fault !== undefined) failures.add(`${name}: ${fault}`);
    });
    socket.on("error", (error) => failures.add(`${name}: ${error.message} after ${echo.received} bytes`));
    socket.on("close", () => {
      clearInterval(timer);
      if (!isOver) failures.add(`${name}: closed after ${echo.received} bytes`);
    });
    return state;
  });
  return {
    finished: () => true,
    stop: async () => {
      isOver = true;
      const whole = await within(ECHOED_WITHIN_MS, () => connections.every(({ sent, echo }) => echo.received === sent || echo.fault !== undefined));
      if (!whole) for (const [number, { sent, echo }] of connections.entries()) if (echo.received !== sent) failures.add(`tcp${number}: ${echo.received} of ${sent} bytes came back`);
      for (const { socket } of connections) socket.destroy();
      await local.stop();
      if (failures.count > 0) say(await logTail(local.child));
      return { figures: { connections: CONNECTIONS_COUNT, bytes: connections.reduce((sum, { echo }) => sum + echo.received, 0) }, failures: failures.lines };
    },
  };
}
