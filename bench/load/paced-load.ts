/**
 * A process that sends small requests at a steady rate whatever the answers do (an open loop): each
 * leaves at its time, on a free connection or on a new one, so that a slow answer delays no other
 * question and its wait is counted whole. Answers with one line of JSON.
 */
import { text } from "node:stream/consumers";
import type { LoadResult } from "./closed-load.ts";
import { Histogram } from "./histogram.ts";
import { SmallConnection } from "./small-connection.ts";

export interface PacedLoad {
  readonly port: number;
  readonly address: string;
  readonly requests: readonly string[];
  readonly perSecond: number;
  readonly seconds: number;
  /** Opened and used once before the clock runs. */
  readonly connections: number;
}

export interface PacedResult extends LoadResult {
  /** How late the generator itself was: a busy machine shows here. */
  readonly late99us: number;
}

/** A request that is not answered by then is an error; bounds the end of the run. */
const LAST_ANSWER_MS = 5_000;

const load = JSON.parse(await text(process.stdin)) as PacedLoad;
const histogram = new Histogram();
const lateness = new Histogram();
const free: SmallConnection[] = [];
const total = Math.round(load.perSecond * load.seconds);
let asked = 0;
let answered = 0;
let errors = 0;
let measuring = false;
let begun = 0;
let warmed: (() => void) | undefined;

const asking = {
  answered: (connection: SmallConnection, ok: boolean): void => {
    free.push(connection);
    if (!measuring) return warmed?.();
    answered++;
    if (ok) histogram.add((performance.now() - connection.sentAt) * 1000);
    else errors++;
  },
  broke: (connection: SmallConnection, wasAsked: boolean): void => {
    const at = free.indexOf(connection);
    if (at >= 0) free.splice(at, 1);
    if (!measuring || !wasAsked) return;
    answered++;
    errors++;
  },
};

const request = (i: number): string => load.requests[i % load.requests.length] ?? "";

function tick(): void {
  const now = performance.now();
  for (; asked < total; asked++) {
    const due = begun + (asked * 1000) / load.perSecond;
    if (due > now) break;
    lateness.add((now - due) * 1000);
    (free.shift() ?? new SmallConnection(load, asking)).ask(request(asked));
  }
  if (asked < total) return void setTimeout(tick, 1);
  if (answered >= total || now - begun > load.seconds * 1000 + LAST_ANSWER_MS) finish();
  else setTimeout(tick, 1);
}

function finish(): void {
  const result: PacedResult = {
    requests: histogram.count,
    errors: errors + total - answered,
    seconds: (performance.now() - begun) / 1000,
    p50us: histogram.quantile(0.5),
    p99us: histogram.quantile(0.99),
    late99us: lateness.quantile(0.99),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

for (let i = 0; i < load.connections; i++) {
  await new Promise<void>((done) => {
    warmed = done;
    new SmallConnection(load, asking).ask(request(i));
  });
}
measuring = true;
begun = performance.now();
tick();
