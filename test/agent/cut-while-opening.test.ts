/** A tcp stream that is cut before its first frame was acted on: nothing reaches the app after the acknowledgement (M2). */
import { randomBytes } from "node:crypto";
import { Duplex, duplexPair } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { secureClient, secureContext } from "../../channel/secure-stream.ts";
import type { TunnelStream } from "../../channel/tunnel-stream.ts";
import { createMetrics } from "../../connector/metrics.ts";
import type { Permit } from "../../connector/stream-gate.ts";
import { serveTcp } from "../../connector/tcp-origin.ts";
import { TcpStreams } from "../../connector/tcp-streams.ts";
import type { SessionId } from "../../core/ids.ts";
import { generateConnectorKey } from "../../identity/connector-proof.ts";
import { LENGTH_BYTES } from "../../protocol/head.ts";
import { dataHeader, encodeResumeFrame } from "../../protocol/resume-frames.ts";
import { soon } from "../soon.ts";

const SESSION = "a".repeat(64) as SessionId;
const STREAM = 2;

/** A connector's stream whose other end is an agent in memory; what the agent says is handed over when the test says so. */
async function stage() {
  const streams = new TcpStreams(createMetrics(), () => 0);
  const context = async () => secureContext((await generateConnectorKey(crypto.subtle)).privateJwk);
  const app = { dialled: 0, got: "" };
  const dial = (): Promise<Duplex> => {
    app.dialled += 1;
    const [ours, theirs] = duplexPair();
    for (const end of [ours, theirs]) end.on("error", () => undefined);
    theirs.on("data", (bytes: Buffer) => (app.got += bytes.toString()));
    return Promise.resolve(Object.assign(ours, { resetAndDestroy: () => void ours.destroy() }));
  };
  const late: Buffer[] = [];
  const wire = { isHeld: false, isGone: false };
  const agent = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      if (wire.isHeld) late.push(chunk);
      else handler.data(chunk);
      done();
    },
  });
  agent.on("error", () => undefined);
  let toSkip = -1;
  const stream = {
    get isOver() {
      return wire.isGone;
    },
    write(bytes: Uint8Array) {
      // The answer head goes before TLS; the agent has read it elsewhere.
      if (toSkip < 0) toSkip = LENGTH_BYTES + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
      const skipped = Math.min(toSkip, bytes.length);
      toSkip -= skipped;
      if (skipped < bytes.length) agent.push(Buffer.from(bytes.subarray(skipped)));
      return true;
    },
    end() {},
    reset() {},
    consumed() {},
    widen() {},
  } as unknown as TunnelStream;
  const permit = { head: {}, app: { id: "pg" }, origin: { dial }, session: SESSION } as unknown as Permit;
  const tunnel = {};
  const handler = serveTcp(stream, permit, { streams, context: await context(), endorsements: () => [] }, { tunnel, stream: STREAM, contact: { at: 0 } }, () => undefined);
  const { socket } = await secureClient(agent, await context());
  socket.on("error", () => undefined);
  await setImmediate();
  /** "New stream", and bytes for the app behind it in the same record: nothing makes an agent wait for "opened". */
  const say = async (): Promise<void> => {
    wire.isHeld = true;
    const open = encodeResumeFrame({ type: "open", open: { app: "pg" as never, attach: false, generation: 1, received: 0, secret: randomBytes(32) } });
    socket.write(Buffer.concat([open, dataHeader(5), Buffer.from("bytes")]));
    await soon(() => expect(late.length).toBeGreaterThan(0));
  };
  return { app, handler, streams, tunnel, wire, say, arrive: () => handler.data(Buffer.concat(late)) };
}

describe("a tcp stream", () => {
  it("hands the app what came with its first frame", async () => {
    const { app, say, arrive } = await stage();
    await say();
    arrive();
    await soon(() => expect(app).toEqual({ dialled: 1, got: "bytes" }));
  });

  it("RS12: that is cut in the turn in which its first frame came dials nothing and hands nothing over afterwards (M2)", async () => {
    const { app, handler, streams, tunnel, wire, say, arrive } = await stage();
    await say();
    arrive();
    // As the tunnel does it: the stream is gone, then what it carried, then the acknowledgement.
    wire.isGone = true;
    handler.gone();
    streams.cut({ tunnel, contact: { at: 0 } }, [STREAM], [SESSION]);
    for (let turn = 0; turn < 50; turn++) await setImmediate();
    expect(app).toEqual({ dialled: 0, got: "" });
    expect(streams.detachedCount).toBe(0);
  });
});
