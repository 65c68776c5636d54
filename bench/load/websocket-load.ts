/**
 * A process that keeps N messages in flight on one WebSocket whose other end echoes them, and
 * compares what comes back by length and first byte. Answers with one line of JSON.
 */
import { text } from "node:stream/consumers";
import { WebSocket } from "ws";
import { Histogram } from "./histogram.ts";
import type { Target } from "./requests.ts";

export interface WebSocketLoad {
  readonly target: Target;
  readonly bytes: number;
  readonly inFlight: number;
  readonly seconds: number;
  readonly count?: number;
}

export interface WebSocketResult {
  readonly messages: number;
  readonly errors: number;
  readonly seconds: number;
  readonly p50us: number;
  readonly p99us: number;
}

/** An echo that has not come by then is an error. */
const LAST_ECHO_MS = 5_000;

const load = JSON.parse(await text(process.stdin)) as WebSocketLoad;
const { target } = load;
const [cookie] = target.cookies;
const headers = Object.fromEntries([["Host", target.host], ...(cookie === undefined ? [] : [["Cookie", cookie]]), ...(target.headers ?? []).map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()])]);
const socket = new WebSocket(`ws://127.0.0.1:${target.port}/echo`, { headers, perMessageDeflate: false, skipUTF8Validation: true, generateMask: (mask) => void mask.fill(0) });
const histogram = new Histogram();
const sentAt: number[] = [];
const most = load.count ?? Number.POSITIVE_INFINITY;
let sent = 0;
let echoed = 0;
let errors = 0;
let begun = 0;
let first = 0;

function send(now: number): void {
  const message = Buffer.alloc(load.bytes, sent++ & 0xff);
  sentAt.push(now);
  socket.send(message, { binary: true });
}

function finish(): void {
  const result: WebSocketResult = { messages: echoed, errors: errors + sent - echoed, seconds: (performance.now() - begun) / 1000, p50us: histogram.quantile(0.5), p99us: histogram.quantile(0.99) };
  socket.terminate();
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

socket.on("message", (data: Buffer) => {
  const now = performance.now();
  histogram.add((now - (sentAt[echoed - first] ?? now)) * 1000);
  if (data.length !== load.bytes || data[0] !== (echoed & 0xff)) errors++;
  echoed++;
  // Forgets now and then what was answered, without moving the array each time.
  if (echoed - first > 4096) {
    sentAt.splice(0, echoed - first);
    first = echoed;
  }
  if (now - begun < load.seconds * 1000 && sent < most) send(now);
  else if (echoed === sent) finish();
});
socket.once("close", finish);
socket.on("error", (cause) => {
  process.stderr.write(`${cause.message}\n`);
  errors++;
});
socket.once("open", () => {
  begun = performance.now();
  for (let i = 0; i < Math.min(load.inFlight, most); i++) send(performance.now());
  setTimeout(finish, load.seconds * 1000 + LAST_ECHO_MS);
});
