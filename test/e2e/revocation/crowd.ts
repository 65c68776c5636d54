/**
 * Many connections of one subject, and what a receipt must mean for them (CONTRACT "The
 * receipt"): counted, ended in time, with an error, at both ends, and nothing new after it.
 */
import { expect } from "vitest";
import type { ReceiptAnswer } from "../../../protocol/admin-api.ts";
import { seeded } from "../../seeded.ts";
import { until } from "../../start/running-stack.ts";
import type { AppSide, StampingOrigin } from "./stamping-origin.ts";
import { type ClientSide, type Kind, open } from "./stream-clients.ts";

/** A client that reads has seen its connection end this long after the receipt (CONTRACT "The receipt"). */
export const ENDED_WITHIN_MS = 250;
/** At most this many handshakes under way at once. */
const AT_ONCE_COUNT = 40;

export const FULL_CROWD: Readonly<Record<Kind, number>> = { websocket: 200, events: 50, download: 20 };

export interface Crowd {
  readonly clients: readonly ClientSide[];
  readonly abandon: () => void;
}

/** Opens the connections in an order of the seed, spread over these credentials; every one has seen a stamp. */
export async function gather(seed: number, port: number, credentials: readonly Readonly<Record<string, string>>[], counts: Readonly<Record<Kind, number>> = FULL_CROWD): Promise<Crowd> {
  const random = seeded(seed);
  const wanted = (Object.keys(counts) as Kind[]).flatMap((kind) => Array.from({ length: counts[kind] }, (_, index) => ({ kind, name: `${seed}-${kind}-${index}-${Math.floor(random() * 1e9)}`, order: random() })));
  wanted.sort((a, b) => a.order - b.order);
  const clients: ClientSide[] = [];
  const next = wanted.values();
  const worker = async (): Promise<void> => {
    for (const { kind, name, order } of next) {
      const headers = credentials[Math.floor(order * 1e6) % credentials.length] ?? {};
      const opened = await open(kind, { port, headers, name });
      if (!opened.ok) throw new Error(`${name} was refused: ${opened.status}`);
      clients.push(opened.client);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE_COUNT }, worker));
  return { clients, abandon: () => clients.forEach((client) => client.abandon()) };
}

/** Measures how long this process itself did not run: what a client cannot be blamed for on a busy machine. */
export function watchStalls(): () => number {
  let worst = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    worst = Math.max(worst, now - last - 5);
    last = now;
  }, 5);
  return () => {
    clearInterval(timer);
    return worst;
  };
}

export interface Outcome {
  readonly receipt: ReceiptAnswer;
  /** When the receipt was in the operator's hands. */
  readonly at: number;
  /** From the question to the receipt, milliseconds. */
  readonly tookMs: number;
  readonly stalledMs: number;
}

/** Whether a connection is over at both ends, and how it ended is known: nothing of it can arrive any more. */
export const isOver = (client: ClientSide, origin: StampingOrigin): boolean => client.end !== undefined && origin.sides.get(client.name)?.endedAt !== undefined;

/** Carries a change out and waits until everything that must end is over at both ends, for five seconds at most; expectEnded judges. */
export async function cutDown(change: () => Promise<ReceiptAnswer>, mustEnd: readonly ClientSide[], origin: StampingOrigin): Promise<Outcome> {
  const stalls = watchStalls();
  const asked = performance.now();
  const receipt = await change();
  const at = performance.now();
  await until(() => mustEnd.every((client) => isOver(client, origin)), "every connection is over", 5_000).catch(() => undefined);
  return { receipt, at, tookMs: at - asked, stalledMs: stalls() };
}

/** What must hold for connections that a change ended. */
export function expectEnded(outcome: Outcome, ended: readonly ClientSide[], origin: StampingOrigin, closeCode: string): void {
  const { at, stalledMs } = outcome;
  const open = ended.filter((client) => client.endedAt === undefined);
  expect(open.map((client) => client.name), "connections that never ended").toEqual([]);
  const late = ended.filter((client) => (client.endedAt ?? 0) > at + ENDED_WITHIN_MS + stalledMs);
  expect(late.map((client) => `${client.name} +${Math.round((client.endedAt ?? 0) - at)} ms`), "ended too late").toEqual([]);
  const wrong = ended.filter((client) => client.end !== (client.kind === "websocket" ? closeCode : "error"));
  expect(wrong.map((client) => `${client.name}: ${client.end}`), "ended otherwise than cut").toEqual([]);
  const after = ended.filter((client) => client.lastStamp > at);
  expect(after.map((client) => client.name), "got bytes that the app wrote after the receipt").toEqual([]);
  const held = ended.map((client) => origin.sides.get(client.name)).filter((side): side is AppSide => side?.endedAt === undefined);
  expect(held.map((side) => side?.name), "the app still has a socket").toEqual([]);
}

/** What must hold for connections that the change left alone: they go on. */
export async function expectKept(outcome: Outcome, kept: readonly ClientSide[]): Promise<void> {
  expect(kept.filter((client) => client.endedAt !== undefined).map((client) => `${client.name}: ${client.end}`), "ended without need").toEqual([]);
  await until(() => kept.every((client) => client.lastStamp > outcome.at), "the others go on", 5_000);
}
