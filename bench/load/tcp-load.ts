/**
 * A process that speaks to the origin's TCP service through whatever is in between: N streams that
 * carry so many bytes each, whole, or one that sends 64 bytes to and fro. Answers with one line of JSON.
 */
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { bulkSocket, sendBlocks } from "./bulk-socket.ts";
import { Histogram } from "./histogram.ts";

export interface TcpLoad {
  readonly port: number;
  readonly address: string;
  readonly kind: "down" | "up" | "ping";
  readonly bytes: number;
  readonly parallel: number;
  /** For pings. */
  readonly seconds: number;
}

export interface TcpResult {
  readonly bytes: number;
  readonly errors: number;
  readonly seconds: number;
  readonly pings: number;
  readonly p50us: number;
  readonly p99us: number;
}

const PING = Buffer.alloc(64, "p");

const load = JSON.parse(await text(process.stdin)) as TcpLoad;
const histogram = new Histogram();

const order = (letter: string): Buffer => {
  const head = Buffer.alloc(5, letter);
  head.writeUInt32BE(load.bytes, 1);
  return head;
};

/** Whether one transfer was whole. */
function transfer(): Promise<boolean> {
  return new Promise((done) => {
    let received = 0;
    const expected = load.kind === "down" ? load.bytes : 1;
    const socket = bulkSocket(load, (bytes) => {
      received += bytes.length;
      if (received === expected) socket.destroy();
    });
    socket.once("close", () => done(received === expected));
    socket.write(order(load.kind === "down" ? "d" : "u"));
    if (load.kind === "up") void sendBlocks(socket, load.bytes);
  });
}

function ping(): Promise<boolean> {
  return new Promise((done) => {
    const until = performance.now() + load.seconds * 1000;
    const socket = connect(load.port, load.address);
    socket.setNoDelay(true);
    let sentAt = 0;
    let left = 0;
    const send = (): void => {
      left = PING.length;
      sentAt = performance.now();
      socket.write(PING);
    };
    socket.on("data", (bytes) => {
      left -= bytes.length;
      if (left > 0) return;
      const now = performance.now();
      histogram.add((now - sentAt) * 1000);
      if (now < until) send();
      else {
        socket.destroy();
        done(true);
      }
    });
    socket.on("error", () => undefined);
    socket.once("close", () => done(false));
    socket.write("e");
    send();
  });
}

const begun = performance.now();
const whole = await Promise.all(Array.from({ length: load.parallel }, load.kind === "ping" ? ping : transfer));
const seconds = (performance.now() - begun) / 1000;
const errors = whole.filter((one) => !one).length;
const result: TcpResult = { bytes: (load.parallel - errors) * load.bytes, errors, seconds, pings: histogram.count, p50us: histogram.quantile(0.5), p99us: histogram.quantile(0.99) };
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
