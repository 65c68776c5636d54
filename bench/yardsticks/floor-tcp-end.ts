/**
 * One end of the TCP floor, as a process: `agent` listens and opens a stream with TLS for each
 * connection, `connector` ends the TLS and dials the origin. Settings come on standard input; the
 * parent is told the port, or that it is ready.
 */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { pipeline } from "node:stream";
import { text } from "node:stream/consumers";
import { connect as connectTls, TLSSocket } from "node:tls";
import { connectFloor } from "./floor-tcp-stream.ts";

interface Settings {
  readonly end: "agent" | "connector";
  readonly edgePort: number;
  readonly originPort: number;
  readonly key: string;
  readonly cert: string;
}

const { end, edgePort, originPort, key, cert } = JSON.parse(await text(process.stdin)) as Settings;
const join = (plain: Socket, secure: TLSSocket): void => {
  plain.setNoDelay(true);
  pipeline(plain, secure, () => undefined);
  pipeline(secure, plain, () => undefined);
};

const link = await connectFloor(edgePort, end, (stream) => join(connect(originPort, "127.0.0.1"), new TLSSocket(stream, { isServer: true, key, cert })));
if (end === "agent") {
  // Half-open: an upload's end must not end the answer.
  const server = createServer({ allowHalfOpen: true }, (socket) => join(socket, connectTls({ socket: link.open(), ca: cert, servername: "floor" })));
  server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
} else process.send?.("ready");
process.on("disconnect", () => process.exit(0));
