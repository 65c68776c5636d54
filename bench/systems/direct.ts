/** The origin itself, with nothing in between: what no system can be faster than. */
import type { Ground, System } from "./system.ts";

export async function startDirect({ origin }: Ground): Promise<System> {
  return {
    http: { port: origin.http, host: "origin", cookies: [] },
    websocket: { port: origin.websocket, host: "origin", cookies: [] },
    tcp: async () => ({ port: origin.tcp, parts: () => [] }),
    parts: () => [],
    stop: async () => undefined,
  };
}
