/**
 * A process that moves large bodies: N at once, each on a connection of its own, whole and counted.
 * A body that is short or refused is an error, never a fast transfer. Answers with one line of JSON.
 */
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { bulkSocket, sendBlocks } from "./bulk-socket.ts";

export interface TransferLoad {
  readonly port: number;
  readonly address: string;
  readonly direction: "down" | "up";
  /** The head of the one request that each connection sends. */
  readonly request: string;
  readonly bytes: number;
  readonly parallel: number;
  /** A reader that takes no more than this; for what happens beside it. */
  readonly bytesPerSecond?: number;
  /** One body after the other until this time is over, the last one whole; else one. */
  readonly seconds?: number;
}

export interface TransferResult {
  readonly bytes: number;
  readonly errors: number;
  readonly seconds: number;
}

const END_OF_HEAD = "\r\n\r\n";
/** A paced reader looks again after this long. */
const PACE_MS = 2;

const load = JSON.parse(await text(process.stdin)) as TransferLoad;

/** Takes a body of a length that is announced or chunked; counts what arrives of it. */
class BodyCounter {
  #head = "";
  #chunked = false;
  #inBody = false;
  #left = Number.POSITIVE_INFINITY;
  #line = "";
  received = 0;
  /** Of a body that is shown: an upload's. */
  shown = "";
  status = 0;

  get complete(): boolean {
    return this.#inBody && this.#left === 0 && (!this.#chunked || this.#line === "end");
  }

  take(data: Buffer, keep: boolean): void {
    let rest = data;
    if (!this.#inBody) {
      this.#head += rest.toString("latin1");
      const end = this.#head.indexOf(END_OF_HEAD);
      if (end < 0) return;
      const before = this.#head.length - rest.length;
      rest = rest.subarray(end + END_OF_HEAD.length - before);
      const head = this.#head.slice(0, end);
      this.#head = "";
      this.status = Number(head.slice(9, 12));
      if (this.status === 100) return this.take(rest, keep);
      this.#inBody = true;
      const length = /\r\ncontent-length: *([0-9]+)/i.exec(head)?.[1];
      this.#chunked = length === undefined;
      this.#left = Number(length ?? 0);
    }
    if (this.#chunked) return this.#takeChunked(rest, keep);
    this.#left -= rest.length;
    this.#count(rest, keep);
  }

  #count(bytes: Buffer, keep: boolean): void {
    this.received += bytes.length;
    if (keep) this.shown += bytes.toString("latin1");
  }

  #takeChunked(data: Buffer, keep: boolean): void {
    for (let at = 0; at < data.length && this.#line !== "end"; ) {
      if (this.#left > 0) {
        const part = Math.min(this.#left, data.length - at);
        this.#left -= part;
        this.#count(data.subarray(at, at + part), keep);
        at += part;
        continue;
      }
      const end = data.indexOf(10, at);
      this.#line += data.toString("latin1", at, end < 0 ? data.length : end + 1);
      at = end < 0 ? data.length : end + 1;
      if (end < 0 || this.#line.trim() === "") {
        if (end >= 0) this.#line = "";
        continue;
      }
      this.#left = Number.parseInt(this.#line, 16);
      this.#line = this.#left === 0 ? "end" : "";
    }
  }
}

/** Lets a socket read no faster than asked. */
function pace(socket: Socket, counter: BodyCounter, bytesPerSecond: number): void {
  const begun = performance.now();
  const timer = setInterval(() => {
    const due = ((performance.now() - begun) / 1000) * bytesPerSecond;
    if (counter.received > due) socket.pause();
    else socket.resume();
  }, PACE_MS);
  socket.once("close", () => clearInterval(timer));
}

function one(): Promise<number> {
  return new Promise((done) => {
    const counter = new BodyCounter();
    const keep = load.direction === "up";
    const socket = bulkSocket(load, (bytes) => {
      counter.take(bytes, keep);
      if (counter.complete) socket.destroy();
    });
    socket.once("close", () => {
      const moved = keep ? Number(/"received": *([0-9]+)/.exec(counter.shown)?.[1] ?? 0) : counter.received;
      done(counter.status === 200 && counter.complete ? moved : -1);
    });
    socket.write(load.request, "latin1");
    if (load.bytesPerSecond !== undefined) pace(socket, counter, load.bytesPerSecond);
    if (keep) void sendBlocks(socket, load.bytes);
  });
}

const begun = performance.now();

async function oneAfterTheOther(): Promise<readonly number[]> {
  const moved: number[] = [];
  do moved.push(await one());
  while (performance.now() - begun < (load.seconds ?? 0) * 1000 && moved.at(-1) !== -1);
  return moved;
}

const moved = (await Promise.all(Array.from({ length: load.parallel }, oneAfterTheOther))).flat();
const seconds = (performance.now() - begun) / 1000;
const whole = moved.filter((bytes) => bytes === load.bytes);
const result: TransferResult = { bytes: whole.length * load.bytes, errors: moved.length - whole.length, seconds };
process.stdout.write(`${JSON.stringify(result)}\n`);
