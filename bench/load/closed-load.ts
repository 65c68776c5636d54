/**
 * A process that keeps N connections busy with small requests, each asking again as soon as it was
 * answered, for a time or for a count. The stand-in for wrk; answers with one line of JSON.
 */
import { text } from "node:stream/consumers";
import { Histogram } from "./histogram.ts";
import { SmallConnection } from "./small-connection.ts";

export interface ClosedLoad {
  readonly port: number;
  readonly address: string;
  readonly requests: readonly string[];
  readonly connections: number;
  /** Asking stops after this long, or after `count`; what was asked is still answered and counted. */
  readonly seconds: number;
  readonly count?: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly errors: number;
  readonly seconds: number;
  readonly p50us: number;
  readonly p99us: number;
}

/** A request that is not answered by then is an error; bounds the end of the run. */
const LAST_ANSWER_MS = 5_000;

const load = JSON.parse(await text(process.stdin)) as ClosedLoad;
const histogram = new Histogram();
const most = load.count ?? Number.POSITIVE_INFINITY;
let asked = 0;
let errors = 0;
let open = 0;
const begun = performance.now();
const until = begun + load.seconds * 1000;
let last = begun;

function next(connection: SmallConnection, now: number): void {
  if (now >= until || asked >= most) {
    connection.close();
    open--;
    if (open === 0) finish();
    return;
  }
  connection.ask(load.requests[asked++ % load.requests.length] ?? "");
}

const asking = {
  answered: (connection: SmallConnection, ok: boolean): void => {
    const now = performance.now();
    last = now;
    if (ok) histogram.add((now - connection.sentAt) * 1000);
    else errors++;
    next(connection, now);
  },
  broke: (_connection: SmallConnection, wasAsked: boolean): void => {
    if (wasAsked) errors++;
    open--;
    if (performance.now() < until && asked < most) add();
    else if (open === 0) finish();
  },
};

function add(): void {
  open++;
  next(new SmallConnection(load, asking), performance.now());
}

function finish(): void {
  const result: LoadResult = { requests: histogram.count, errors, seconds: (last - begun) / 1000, p50us: histogram.quantile(0.5), p99us: histogram.quantile(0.99) };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

setTimeout(() => {
  errors += open;
  finish();
}, load.seconds * 1000 + LAST_ANSWER_MS);
for (let i = 0; i < Math.min(load.connections, most); i++) add();
