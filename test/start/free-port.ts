/** Ports for programs that must be told one before they listen. */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** Below what systems give away by themselves (Linux from 32768, RFC 6335 from 49152), so that no connection takes it meanwhile. */
const [FIRST_PORT, LAST_PORT] = [20_000, 32_000];

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });

/** A loopback port that nobody listens on. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, LAST_PORT);
    if (await isFree(port)) return port;
  }
}
