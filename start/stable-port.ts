/**
 * Listening on the port a part had last time, or on a fresh one when that is taken, so that
 * addresses in the policy document survive a restart. Loopback only.
 */
import type { Server } from "node:net";

function listen(server: Server, port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException): void => {
      server.off("listening", listening);
      if (cause.code === "EADDRINUSE" && port !== 0) resolve(undefined);
      else reject(cause);
    };
    const listening = (): void => {
      server.off("error", failed);
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("the server has no port"));
      else resolve(address.port);
    };
    server.once("error", failed);
    server.once("listening", listening);
    server.listen(port, "127.0.0.1");
  });
}

/** Listens on 127.0.0.1, on `preferred` when that is free; resolves with the port taken. */
export async function listenOnStablePort(server: Server, preferred: number | undefined): Promise<number> {
  const kept = preferred === undefined ? undefined : await listen(server, preferred);
  if (kept !== undefined) return kept;
  const fresh = await listen(server, 0);
  if (fresh === undefined) throw new Error("no port is free on 127.0.0.1");
  return fresh;
}
