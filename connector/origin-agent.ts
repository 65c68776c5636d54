/**
 * A keep-alive connection pool of one upstream whose every new socket is dialled by dial.ts, so
 * that no request can reach a place that was not judged. Not shared between apps: TLS settings
 * and trust are the app's own.
 */
import { Agent } from "node:http";
import type { ClientRequestArgs } from "node:http";
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";

/** Idle sockets kept per upstream: bounds descriptors held for a quiet app. */
const MAX_IDLE_SOCKETS_COUNT = 64;
/** Sockets per upstream: what one app may make the connector open at its origin. */
const MAX_SOCKETS_COUNT = 1_024;
/** An idle socket is given up after this, or sooner if the origin's Keep-Alive says so; most close at 5 s or later. */
const IDLE_SOCKET_MS = 4_000;

export class OriginAgent extends Agent {
  readonly #dial: () => Promise<Socket>;

  constructor(dial: () => Promise<Socket>) {
    super({ keepAlive: true, maxSockets: MAX_SOCKETS_COUNT, maxFreeSockets: MAX_IDLE_SOCKETS_COUNT, timeout: IDLE_SOCKET_MS, scheduling: "lifo" });
    this.#dial = dial;
  }

  /** Overrides node's own dialling. The socket may belong to TLS: to node:http both are streams. */
  override createConnection(_options: ClientRequestArgs, ready?: (error: Error | null, socket: Duplex) => void): undefined {
    this.#dial().then(
      (socket) => ready?.(null, socket),
      (error: Error) => ready?.(error, undefined as never),
    );
  }

  /** One upstream, one list of sockets: node's own name spells out every option of every request. */
  override getName(): string {
    return "";
  }

  /** Ends idle sockets now and busy ones after their requests; used when the app's configuration changes. */
  retire(): void {
    this.maxFreeSockets = 0;
    for (const list of Object.values(this.freeSockets)) for (const socket of list ?? []) socket.destroy();
  }
}
