/**
 * A TCP proxy that does to connections what networks do, and worse, as its seed says: delays,
 * stalls, cuts, flips, swaps, drops and doubles what it passes. In process; each fault is counted.
 */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** What keeps the bytes as they are, and what does not. */
export type Fault = "delay" | "stall" | "cut" | "flip" | "swap" | "drop" | "double";

export interface ChaosProxy {
  readonly port: number;
  /** From now on one piece in `every` suffers one of these; none: it only passes on. */
  readonly suffer: (faults: readonly Fault[], every: number) => void;
  readonly suffered: Readonly<Record<Fault, number>>;
  /** Ends all connections at once. */
  readonly cutAll: () => void;
  readonly close: () => Promise<void>;
}

const ALTERING: ReadonlySet<Fault> = new Set(["flip", "swap", "drop", "double"]);
const MAX_DELAY_MS = 40;
const STALL_MS = 300;

export async function startChaosProxy(target: number, random: () => number): Promise<ChaosProxy> {
  const suffered: Record<Fault, number> = { delay: 0, stall: 0, cut: 0, flip: 0, swap: 0, drop: 0, double: 0 };
  const sockets = new Set<Socket>();
  let faults: readonly Fault[] = [];
  let every = 1;

  const pass = (from: Socket, to: Socket): void => {
    /** A piece that waits to come after the next one. */
    let swapped: Buffer | undefined;
    let isFirst = true;
    /** Pieces leave in order, one after the other, however long one is held. */
    let last: Promise<void> = Promise.resolve();
    const write = (bytes: Buffer): void => {
      if (!to.destroyed && !to.write(bytes)) from.pause();
    };
    const after = (ms: number, work: () => void): void => {
      last = last.then(() => new Promise<void>((done) => setTimeout(done, ms))).then(work);
    };
    to.on("drain", () => from.resume());
    from.on("data", (chunk: Buffer) => {
      const drawn = faults.length > 0 && random() * every < 1 ? faults[Math.floor(random() * faults.length)] : undefined;
      // Without TLS nothing guards what opens a connection, and an edge may rightly refuse another one for good.
      const fault = isFirst && drawn !== undefined && ALTERING.has(drawn) ? undefined : drawn;
      isFirst = false;
      if (fault !== undefined) suffered[fault]++;
      const at = Math.floor(random() * chunk.length);
      switch (fault) {
        case "delay":
          return after(random() * MAX_DELAY_MS, () => write(chunk));
        case "stall":
          return after(STALL_MS, () => write(chunk));
        case "cut":
          return after(0, () => {
            to.write(chunk.subarray(0, at));
            from.destroy();
            to.destroy();
          });
        case "flip": {
          const flipped = Buffer.from(chunk);
          flipped[at] = (flipped[at] ?? 0) ^ (1 << Math.floor(random() * 8));
          return after(0, () => write(flipped));
        }
        case "swap":
          swapped = chunk;
          return undefined;
        case "drop":
          return undefined;
        case "double":
          return after(0, () => write(Buffer.concat([chunk, chunk])));
        case undefined: {
          const before = swapped;
          swapped = undefined;
          return after(0, () => write(before === undefined ? chunk : Buffer.concat([chunk, before])));
        }
        default:
          return fault satisfies never;
      }
    });
    from.on("end", () => after(0, () => to.end()));
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const edge = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    for (const [one, other] of [[client, edge], [edge, client]] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
      pass(one, other);
    }
  });
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  return {
    port: (server.address() as AddressInfo).port,
    suffer: (kinds, once) => {
      faults = kinds;
      every = once;
    },
    suffered,
    cutAll: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((down) => server.close(down));
    },
  };
}
