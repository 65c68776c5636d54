/** The same frames as a foreign implementation: @libp2p/yamux, both roles, either side opening. */
import { yamux } from "@libp2p/yamux";
import { describe, expect, it } from "vitest";
import { OurEnd, file, sha256 } from "./interop.ts";

const SIZE = 2 * 1024 * 1024;
const FILES = [1, 2, 3].map((seed) => file(seed * 7919, SIZE));

type Muxer = ReturnType<ReturnType<ReturnType<typeof yamux>>["createStreamMuxer"]>;
type ForeignStream = Awaited<ReturnType<Muxer["createStream"]>>;
type Bytes = Uint8Array | { subarray(): Uint8Array };

const flat = (data: Bytes): Uint8Array => data.subarray().slice();
const silent: object = Object.assign(() => undefined, { trace: () => undefined, error: () => undefined, enabled: false, newScope: () => silent });

/** The little of a libp2p connection that its muxer uses. */
class Connection extends EventTarget {
  readonly log = silent;
  readonly direction: "inbound" | "outbound";
  readonly #out: (bytes: Uint8Array) => void;

  constructor(direction: "inbound" | "outbound", out: (bytes: Uint8Array) => void) {
    super();
    this.direction = direction;
    this.#out = out;
  }
  send(data: Bytes): boolean {
    this.#out(flat(data));
    return true;
  }
  arrive(data: Uint8Array): void {
    this.dispatchEvent(Object.assign(new Event("message"), { data }));
  }
  abort(error: Error): void {
    throw error;
  }
}

/** In a later turn: theirs tells of a FIN before it hands over the data of the same frame. */
const later = (act: () => void): void => void setImmediate(act);

/** Our end and theirs, each handing its bytes over in a later turn. */
function connect(role: "connector" | "edge"): { ours: OurEnd; theirs: Muxer } {
  const ours = new OurEnd(role, (bytes) => later(() => connection.arrive(bytes)));
  const connection = new Connection(role === "edge" ? "outbound" : "inbound", (bytes) => later(() => ours.receive(bytes)));
  const factory = yamux({ enableKeepAlive: false })();
  return { ours, theirs: factory.createStreamMuxer(connection as unknown as Parameters<typeof factory.createStreamMuxer>[0]) };
}

async function sendAll(stream: ForeignStream, content: Uint8Array): Promise<void> {
  for (let at = 0; at < content.length; at += 100_000) {
    if (!stream.send(content.subarray(at, at + 100_000))) await stream.onDrain();
  }
}

describe.each(["edge", "connector"] as const)("ours as %s, @libp2p/yamux opposite", (role) => {
  it("FR1 FC1 FC11: three files that we send come back whole", async () => {
    const { ours, theirs } = connect(role);
    theirs.addEventListener("stream", (event) => {
      const stream = event.detail;
      stream.addEventListener("message", (message) => void stream.send(flat(message.data)));
      stream.addEventListener("remoteCloseWrite", () => later(() => void stream.close()));
    });
    expect(await Promise.all(FILES.map((content) => ours.exchange(content)))).toEqual(FILES.map((content) => sha256([content])));
    expect([ours.mux.streamCount, ours.mux.counters.ignored, ours.mux.counters.overruns]).toEqual([0, 0, 0]);
  });

  it("FR1 FC1 FC11: three files that they send come back whole", async () => {
    const { ours, theirs } = connect(role);
    const hashes = FILES.map(async (content) => {
      const stream = await theirs.createStream();
      const received: Uint8Array[] = [];
      const done = new Promise<string>((resolve) => stream.addEventListener("remoteCloseWrite", () => later(() => resolve(sha256(received)))));
      stream.addEventListener("message", (message) => void received.push(flat(message.data)));
      await sendAll(stream, content);
      await stream.close();
      return done;
    });
    expect(await Promise.all(hashes)).toEqual(FILES.map((content) => sha256([content])));
    expect([ours.mux.counters.ignored, ours.mux.counters.overruns]).toEqual([0, 0]);
  });
});
