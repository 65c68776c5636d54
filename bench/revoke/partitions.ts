/**
 * A signal while a part cannot be reached, or is replaced: connections of every protocol together
 * are over at both ends by the lease and a second (M6, M9, M18), whoever does not answer.
 */
import type { ReceiptAnswer } from "../../protocol/admin-api.ts";
import type { Row } from "../measure/results.ts";
import { sampled } from "../measure/sample.ts";
import { monotonicMs, pause } from "./clock.ts";
import { appOf, openFor, PROTOCOLS, type Protocol } from "./protocols.ts";
import { PARTITION_END_MS, row } from "./rows.ts";
import type { Outcome } from "./sides.ts";
import type { StallingStage } from "./stalling-stage.ts";

export interface Partition {
  readonly name: string;
  /** Takes the part away. */
  readonly begin: (stage: StallingStage) => Promise<void>;
  /** Puts it right. */
  readonly end: (stage: StallingStage) => Promise<void>;
}

const LIVE_COUNT = 4;
/** Two logins are enough: each is three processes. */
const LOGINS_COUNT = 2;
const FLOW_MS = 200;
/** Longest wait for ends, beyond the bound so that what is late is measured. */
const END_MS = PARTITION_END_MS + 4_000;

const allIsWell = async (stage: StallingStage): Promise<void> => stage.stall([]);

/** Each waits for a lease: they run at the same time, on a stage each. */
export const UNREACHABLE: readonly Partition[] = [
  { name: "session-unreachable", begin: (stage) => stage.stall(["session"]), end: allIsWell },
  { name: "tunnel-unreachable", begin: (stage) => stage.stall(["tunnel", "lease"]), end: allIsWell },
  { name: "connector-unreachable", begin: (stage) => Promise.resolve(stage.hold(true)), end: (stage) => Promise.resolve(stage.hold(false)) },
];

/** One after the other: what is replaced is soon there again. */
export const REPLACED: readonly Partition[] = [
  { name: "session-replaced", begin: (stage) => stage.stall(["session-replaced"]), end: allIsWell },
  { name: "tunnel-replaced", begin: (stage) => stage.stall(["tunnel-replaced"]), end: allIsWell },
  { name: "connector-replaced", begin: (stage) => stage.restartConnector(), end: () => Promise.resolve() },
  { name: "edge-replaced", begin: (stage) => stage.stack.restartEdge(), end: () => Promise.resolve() },
];

interface Ended {
  readonly protocol: Protocol;
  readonly client: Outcome;
  readonly app: Outcome;
}

export async function partitionRows(stage: StallingStage, partition: Partition, say: (line: string) => void): Promise<Row[]> {
  const person = `${partition.name}-0`;
  const groupOf = (protocol: Protocol): string => `${partition.name}-${protocol}`;
  const names = PROTOCOLS.map(groupOf);
  for (const protocol of PROTOCOLS) await openFor(stage, protocol, await stage.signIn(person, appOf(protocol)), protocol === "ssh" ? LOGINS_COUNT : LIVE_COUNT, groupOf(protocol), 0);
  await pause(FLOW_MS);
  let firedAt = 0;
  let answer: { readonly receipt: ReceiptAnswer; readonly at: number } | undefined;
  const { result: ended, used } = await sampled([], async () => {
    try {
      await partition.begin(stage);
      firedAt = monotonicMs();
      const answered = stage.operator.revoke("user", `${person}@example.com`).then((receipt) => (answer = { receipt, at: monotonicMs() }), (cause: Error) => say(`${partition.name}: no receipt: ${cause.message}`));
      await Promise.all([stage.clients("ended", { names, timeoutMs: END_MS }), stage.app("ended", { names, timeoutMs: END_MS })]);
      await Promise.race([answered, pause(Math.max(0, END_MS - (monotonicMs() - firedAt)))]);
      return await outcomes(stage, groupOf, answer?.at ?? Number.MAX_SAFE_INTEGER);
    } finally {
      await partition.end(stage);
    }
  });
  await Promise.all([stage.clients("abandon", names), stage.app("forget", names)]);
  await stage.endAgents();
  return [...rowsOf(partition.name, ended, firedAt, say), ...(answer === undefined ? [] : receiptRows(partition.name, answer.receipt, answer.at - firedAt)), row(partition.name, "foreign_cores", used.foreignCores, 1)];
}

const outcomes = (stage: StallingStage, groupOf: (protocol: Protocol) => string, moment: number): Promise<Ended[]> =>
  Promise.all(
    PROTOCOLS.map(async (protocol) => {
      const asked = { names: [groupOf(protocol)], moment };
      const [client, app] = await Promise.all([stage.clients<Outcome>("outcome", asked), stage.app<Outcome>("outcome", asked)]);
      return { protocol, client, app };
    }),
  );

function rowsOf(name: string, ended: readonly Ended[], firedAt: number, say: (line: string) => void): Row[] {
  return ended.flatMap(({ protocol, client, app }) => {
    const key = `${name}/${protocol}`;
    const n = client.count;
    if (client.openCount + app.openCount > 0) say(`${key}: ${client.openCount} of ${client.count} go on at their clients, ${app.openCount} of ${app.count} at the app`);
    // What goes on is late by all the time that was waited; what ended before the signal, as its part went, took no time.
    const since = ({ openCount, lastEndAt }: Outcome): number => (openCount > 0 ? END_MS : Math.max(0, lastEndAt - firedAt));
    return [
      row(key, "end_worst_ms", Math.max(since(client), since(app)), n),
      row(key, "end_client_ms", since(client), n),
      row(key, "end_app_ms", since(app), n),
      row(key, "last_byte_ms", Math.max(0, client.lastChunkAt - firedAt, app.lastChunkAt - firedAt), n),
      row(key, "bytes_after_receipt", client.afterBytes + app.afterBytes, n),
    ];
  });
}

const receiptRows = (name: string, receipt: ReceiptAnswer, tookMs: number): Row[] => [
  row(name, "receipt_ms", tookMs, 1),
  row(name, "receipt_closed", receipt.closed, 1),
  row(name, "receipt_unconfirmed", receipt.unconfirmed.length, 1),
];
