/** What `npm run bench:revoke` measures: every signal on every protocol, in full for the main ones, and what happens when a part cannot be reached. */
import type { Row } from "../measure/results.ts";
import { sampled } from "../measure/sample.ts";
import { partitionRows, REPLACED, UNREACHABLE } from "./partitions.ts";
import { MAX_LOGINS_COUNT, PROTOCOLS, type Protocol } from "./protocols.ts";
import { Receipts, type Sample } from "./receipts.ts";
import { receiptRows } from "./rows.ts";
import { type Signal, SIGNALS } from "./signals.ts";
import type { Stage } from "./stage.ts";
import type { StallingStage } from "./stalling-stage.ts";

export type Size = "all" | "quick" | "tiny";

/** The product as it is, or one whose parts can be made unreachable. */
export interface Stages {
  readonly plain: () => Promise<Stage>;
  /** The same again for the same number. */
  readonly stalling: (number: number) => Promise<StallingStage>;
}

export interface RevokeCase {
  readonly name: string;
  readonly stage: keyof Stages;
  /** About how many seconds it takes on two quiet cores. */
  readonly seconds: number;
  readonly run: (stages: Stages, how: { readonly untilMs: number; readonly say: (line: string) => void }) => Promise<Row[]>;
}

const MAIN_LIVE = [1, 100, 1_000] as const;
const OTHER_LIVE = 10;
/** Receipts by live connections. */
const RECEIPTS: Readonly<Record<Size, Readonly<Record<number, number>>>> = {
  all: { 1: 200, 10: 20, 100: 200, 1_000: 20 },
  quick: { 1: 20, 10: 3, 100: 5, 1_000: 2 },
  tiny: { 1: 1, 10: 1, 100: 1, 1_000: 1 },
};
/** The one case of a quick run with a thousand. */
const QUICK_THOUSAND = "session/websocket/1000";
/** Seconds to open one connection, to log in, and for one receipt with all around it. */
const OPEN_S: Readonly<Record<Protocol, number>> = { http: 0.0017, sse: 0.001, websocket: 0.0013, tcp: 0.0023, ssh: 0.0026 };
const LOGIN_S = 0.05;
const RECEIPT_S = 0.08;
/** Receipts before those that count, by live connections: code that ran a few times is as slow as it never is again. */
const WARM_COUNT: Readonly<Record<number, number>> = { 1: 5, 100: 5, 1_000: 1 };

async function live({ operator }: Stage, document: string): Promise<void> {
  const { status, text } = await operator.call("POST", "/policy", document);
  if (status !== 200) throw new Error(`the document was not applied: ${status} ${text.slice(0, 300)}`);
}

function receiptCase(signal: Signal, protocol: Protocol, liveCount: number, size: Size): RevokeCase {
  const name = `${signal.name}/${protocol}/${liveCount}`;
  // What it takes to show that it works; figures are not its business.
  const count = size === "tiny" ? Math.min(liveCount, 3) : liveCount;
  const wanted = RECEIPTS[size][liveCount] ?? 1;
  return {
    name,
    stage: "plain",
    seconds: wanted * (RECEIPT_S + count * OPEN_S[protocol] + (protocol === "ssh" ? Math.min(count, MAX_LOGINS_COUNT) * LOGIN_S : 0) + (signal.seconds ?? 0)),
    run: async (stages, { untilMs, say }) => {
      const stage = await stages.plain();
      const samples: Sample[] = [];
      const receipts = new Receipts(stage, signal, protocol, count);
      const { used } = await sampled([], async () => {
        if (signal.document !== undefined) await live(stage, stage.document(signal.document(stage)));
        try {
          for (let warm = size === "tiny" ? 0 : (WARM_COUNT[liveCount] ?? 0); warm > 0; warm--) await receipts.next();
          while (samples.length < wanted && (samples.length === 0 || performance.now() < untilMs)) samples.push(await receipts.next());
        } finally {
          await receipts.end();
          if (signal.document !== undefined) await live(stage, stage.document());
        }
      });
      for (const fault of new Set(samples.flatMap(({ faults }) => faults))) say(`${name}: ${fault}`);
      return receiptRows(name, liveCount, signal.isMain === true, samples, used.foreignCores);
    },
  };
}

const isLeftOut = (name: string, size: Size): boolean => name.endsWith("/1000") && size !== "all" && (size === "tiny" || name !== QUICK_THOUSAND);

/** What cannot be reached waits for a lease, each on a stage of its own; meanwhile the others are replaced, one after the other. */
const partitions: RevokeCase = {
  name: "partitions",
  stage: "stalling",
  seconds: 60,
  run: async (stages, { say }) => {
    const [last, ...started] = await Promise.all([UNREACHABLE.length, ...UNREACHABLE.keys()].map((number) => stages.stalling(number)));
    const replaced = async (): Promise<Row[]> => {
      const rows: Row[] = [];
      for (const partition of REPLACED) rows.push(...(await partitionRows(last as StallingStage, partition, say)));
      return rows;
    };
    return (await Promise.all([...UNREACHABLE.map((partition, number) => partitionRows(started[number] as StallingStage, partition, say)), replaced()])).flat();
  },
};

/** All cases of a run of this size, in the order in which they are measured. */
export function casesOf(size: Size): readonly RevokeCase[] {
  const receipts = SIGNALS.flatMap((signal) => (signal.isMain === true ? MAIN_LIVE : [OTHER_LIVE]).flatMap((live) => PROTOCOLS.map((protocol) => receiptCase(signal, protocol, live, size)))).filter(({ name }) => !isLeftOut(name, size));
  // What takes long by waiting first: nothing is left out of it.
  return [partitions, ...receipts];
}
