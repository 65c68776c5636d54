/**
 * TLS before the edge, as every deployment has it and plain workerd has not: ends TLS with a
 * certificate made for one name and passes on what was in it. In process; counts what TLS found
 * altered. A connection on which it finds that is over, for both sides.
 */
import { connect, type AddressInfo, type Socket } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { selfSigned } from "../../connector/test-certificate.ts";

export interface TlsFront {
  readonly port: number;
  /** PEM; its own authority. */
  readonly certificate: string;
  /** Connections that TLS ended at either side: an altered record, or the other side's word that one was. */
  readonly ended: () => number;
  readonly close: () => Promise<void>;
}

const DAY_MS = 86_400_000;
const isOfTls = (error: NodeJS.ErrnoException): boolean => error.code?.startsWith("ERR_SSL_") === true;

export async function startTlsFront(target: number, name: string): Promise<TlsFront> {
  const { key, cert } = selfSigned(name, new Date(Date.now() - DAY_MS), new Date(Date.now() + DAY_MS));
  const sockets = new Set<Socket>();
  let ended = 0;
  const kept = <T extends Socket>(socket: T): T => {
    sockets.add(socket);
    return socket.on("close", () => sockets.delete(socket));
  };
  const noteError = (error: NodeJS.ErrnoException): void => void (isOfTls(error) && ended++);
  const server = createServer({ key, cert, minVersion: "TLSv1.2", ALPNProtocols: ["http/1.1"], noDelay: true }, (client: TLSSocket) => {
    kept(client);
    const edge = kept(connect({ port: target, host: "127.0.0.1", noDelay: true }));
    client.on("error", noteError).on("close", () => edge.destroy());
    edge.on("error", () => client.destroy()).on("close", () => client.end());
    client.pipe(edge);
    edge.pipe(client);
  });
  server.on("connection", kept);
  server.on("tlsClientError", (error: NodeJS.ErrnoException, client) => {
    noteError(error);
    client.destroy();
  });
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  return {
    port: (server.address() as AddressInfo).port,
    certificate: cert,
    ended: () => ended,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((down) => server.close(down));
    },
  };
}
