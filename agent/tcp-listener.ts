/** A local port whose every connection an agent carries to its app. */
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { AgentFailure } from "./agent-failure.ts";
import type { TcpAgent } from "./tcp-agent.ts";

/** Connections waiting for the edge or carried; one more is refused. Bounds a local program gone wild. */
const MAX_CONNECTIONS_COUNT = 2_048;

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface TcpListener {
  /** "127.0.0.1:40123". */
  readonly address: string;
  close(): void;
}

/** Listens; each connection that breaks is told to `failed`. Rejects with AgentFailure. */
export function listenFor(agent: TcpAgent, { host, port }: ListenAddress, failed: (failure: unknown) => void): Promise<TcpListener> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    agent.carry(socket).catch(failed);
  });
  server.maxConnections = MAX_CONNECTIONS_COUNT;
  return new Promise((done, fail) => {
    server.once("error", (error) => {
      const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
      fail(new AgentFailure("cannot_listen", `${host}:${port} cannot be listened on`, `the system says ${code}`, ["give another address, or port 0 for any free one: --listen 127.0.0.1:0"]));
    });
    server.listen(port, host, () => done({ address: addressOf(server), close: () => void server.close() }));
  });
}

function addressOf(server: Server): string {
  const { address, port, family } = server.address() as AddressInfo;
  return family === "IPv6" ? `[${address}]:${port}` : `${address}:${port}`;
}
