/** A connection to an app on a bare agent's stream: TLS with the connector, and a resumable stream inside, as a Node stream. */
import { randomBytes } from "node:crypto";
import { Duplex, duplexPair } from "node:stream";
import { HeldBytes } from "../../../channel/held-bytes.ts";
import { firstFrame } from "../../../channel/first-frame.ts";
import { ResumableSocket } from "../../../channel/resumable-socket.ts";
import type { ResumableEnd } from "../../../channel/resumable-socket.ts";
import { secureClient, secureContext } from "../../../channel/secure-stream.ts";
import { generateConnectorKey } from "../../../identity/connector-proof.ts";
import type { AppId } from "../../../core/ids.ts";
import { encodeResumeFrame } from "../../../protocol/resume-frames.ts";
import { RESUME_WINDOW_BYTES } from "../../../protocol/limits.ts";
import type { TestAgent, TestStream } from "./agent-client.ts";

export interface AppConnection {
  /** What a local program would hold. */
  readonly local: Duplex;
  readonly stream: TestStream;
  /** What runs inside TLS. */
  readonly secure: Duplex;
  readonly over: Promise<ResumableEnd>;
}

export async function appConnection(agent: TestAgent, app: string): Promise<AppConnection> {
  const stream = await agent.stream(app);
  const wire = new Duplex({
    read: () => undefined,
    write: (bytes: Uint8Array, _encoding, done) => void stream.write(bytes).then(() => done(), done),
    final: (done) => {
      stream.finish();
      done();
    },
  });
  wire.on("error", () => undefined);
  stream.keep = false;
  stream.onBytes = (bytes) => void wire.push(Buffer.from(bytes));
  stream.onEnd = () => (stream.end === "fin" ? wire.push(null) : wire.destroy());
  const { socket: secure } = await secureClient(wire, secureContext((await generateConnectorKey(crypto.subtle)).privateJwk));
  secure.write(encodeResumeFrame({ type: "open", open: { app: app as AppId, attach: false, generation: 1, received: 0, secret: randomBytes(32) } }));
  const first = await firstFrame(secure);
  if (first?.frame.type !== "opened") throw new Error(`not opened: ${JSON.stringify(first?.frame)}`);
  const [local, ours] = duplexPair();
  const over = Promise.withResolvers<ResumableEnd>();
  const resumable = new ResumableSocket(ours, { held: new HeldBytes(), owner: "", share: () => RESUME_WINDOW_BYTES, detached: () => resumable.abort("lost"), over: over.resolve }, "client_reset");
  resumable.attach(secure, first.reader, first.frame.received, first.early);
  return { local, stream, secure, over: over.promise };
}
