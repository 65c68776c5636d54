/** A way to a TCP service that can be shut: nobody is accepted any more, and what is open goes on. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Gate {
  readonly url: string;
  readonly shut: () => void;
  readonly close: () => void;
}

export async function startGate(to: string): Promise<Gate> {
  const port = Number(new URL(to).port);
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: true });
    for (const [one, other] of [[near, far], [far, near]] as const) {
      sockets.add(one);
      one.on("error", () => undefined).on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise<void>((up) => server.listen(0, "127.0.0.1", up));
  return {
    url: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    shut: () => void server.close(),
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
