/** WebSockets that echo numbered messages: in order and whole as long as one lives; when it ends the client is told, and comes back. */
import { WebSocket } from "ws";
import type { Load, LoadGround } from "../load.ts";
import { Failures, pause } from "../soak.ts";

const SOCKETS_COUNT = 16;
const EVERY_MS = 50;
const AFTER_FAILURE_MS = 100;
/** No echo for so long on a socket that is open: it hangs, and nobody said so. */
const MAX_SILENCE_MS = 60_000;

export async function socketsLoad({ site }: LoadGround): Promise<Load> {
  const failures = new Failures();
  const counts = { echoes: 0, reconnects: 0 };
  let isOver = false;

  const once = (number: number): Promise<void> =>
    new Promise((done) => {
      const socket = new WebSocket(`ws://127.0.0.1:${site.stack.port}/${number}`, { headers: { host: site.host, authorization: `Bearer ${site.tokens[number % site.tokens.length]}` }, perMessageDeflate: false, handshakeTimeout: 30_000 });
      let sent = 0;
      let heard = 0;
      let heardAt = performance.now();
      const timer = setInterval(() => {
        if (isOver) return socket.terminate();
        if (socket.readyState === socket.OPEN) socket.send(`${number} ${sent++}`);
        if (socket.readyState === socket.OPEN && performance.now() - heardAt > MAX_SILENCE_MS) {
          failures.add(`socket ${number}: no echo for ${MAX_SILENCE_MS} ms`);
          socket.terminate();
        }
      }, EVERY_MS);
      socket.on("open", () => (heardAt = performance.now()));
      socket.on("message", (data: Buffer) => {
        heardAt = performance.now();
        if (data.toString() !== `${number} ${heard}`) failures.add(`socket ${number}: expected message ${heard}, got ${data.toString().slice(0, 40)}`);
        heard++;
        counts.echoes++;
      });
      socket.on("error", () => undefined);
      socket.on("close", () => {
        clearInterval(timer);
        done();
      });
    });
  const loops = Array.from({ length: SOCKETS_COUNT }, async (_, number) => {
    for (let round = 0; !isOver; round++) {
      if (round > 0) counts.reconnects++;
      await once(number);
      await pause(AFTER_FAILURE_MS);
    }
  });
  return {
    finished: () => true,
    stop: async () => {
      isOver = true;
      await Promise.all(loops);
      if (counts.echoes === 0) failures.add("no socket ever echoed");
      return { figures: counts, failures: failures.lines };
    },
  };
}
