/**
 * A wire between a connector and the edge that keeps what the edge says, so that a test holds real
 * tokens of the tunnel: the lane's welcome and the admissions. Changes nothing on the way.
 */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export interface TunnelTap {
  readonly port: number;
  /** The newest compact JWS of this `typ` that the edge sent; undefined: none yet. */
  readonly newest: (typ: string) => string | undefined;
  readonly close: () => Promise<void>;
}

const JWS = /eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}/g;

function typOf(jws: string): string {
  try {
    return String((JSON.parse(Buffer.from(jws.split(".")[0] ?? "", "base64url").toString()) as { typ?: unknown }).typ);
  } catch {
    return "";
  }
}

/** Listens on a free loopback port and carries every connection to `edgePort`. */
export async function tapTunnel(edgePort: number): Promise<TunnelTap> {
  const heard: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(edgePort, "127.0.0.1");
    const index = heard.push("") - 1;
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => [near, far].forEach((one) => one.destroy()));
      socket.on("close", () => sockets.delete(socket));
    }
    far.on("data", (chunk) => (heard[index] += chunk.toString("latin1")));
    near.pipe(far);
    far.pipe(near);
  });
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  return {
    port: (server.address() as AddressInfo).port,
    newest: (typ) => heard.flatMap((text) => text.match(JWS) ?? []).findLast((jws) => typOf(jws) === typ),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((down) => server.close(down));
    },
  };
}
