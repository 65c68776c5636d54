/** From samples to rows, and the bounds that the rows must keep. */
import type { Row } from "../measure/results.ts";
import { unitOf } from "../measure/metrics.ts";
import type { Sample } from "./receipts.ts";

export const BENCH = "revoke";
const SYSTEM = "postern";
const SIGNIFICANT_DIGITS = 5;

/** Bounds in milliseconds (CONTRACT "The receipt"; the lease and a second). */
export const RECEIPT_P99_MS = 50;
export const RECEIPT_WORST_MS = 250;
export const CLIENT_END_MS = 250;
export const PARTITION_END_MS = 31_000;
/** With so many live connections or fewer, of a signal that is measured in full, the 99th percentile counts. */
const MOST_FOR_P99 = 100;

/** By the nearest rank. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export const row = (name: string, metric: string, value: number, n: number): Row => ({ bench: BENCH, case: name, system: SYSTEM, metric, value: Number(value.toPrecision(SIGNIFICANT_DIGITS)), unit: unitOf(metric), n });

export function receiptRows(name: string, live: number, isMain: boolean, samples: readonly Sample[], foreignCores: number): Row[] {
  const n = samples.length;
  if (n === 0) return [];
  const took = samples.map(({ tookMs }) => tookMs);
  const worst = (values: readonly number[]): number => Math.max(...values);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return [
    ...(isMain && live <= MOST_FOR_P99 ? [row(name, "receipt_p99_ms", percentile(took, 0.99), n)] : []),
    row(name, "receipt_worst_ms", worst(took), n),
    row(name, "receipt_p50_ms", percentile(took, 0.5), n),
    row(name, "client_end_worst_ms", worst(samples.map(({ clientEndMs }) => clientEndMs)), n),
    row(name, "bytes_after_receipt", sum(samples.map(({ afterBytes }) => afterBytes)), n),
    row(name, "bytes_in_flight_at_cut", worst(samples.map(({ inFlightBytes }) => inFlightBytes)), n),
    row(name, "cpu_ms_per_receipt_edge", sum(samples.map(({ cpuMs }) => cpuMs.edge)) / n, n),
    row(name, "cpu_ms_per_receipt_connector", sum(samples.map(({ cpuMs }) => cpuMs.connector)) / n, n),
    row(name, "faults", sum(samples.map(({ faults }) => faults.length)), n),
    row(name, "foreign_cores", foreignCores, n),
  ];
}

/** The bounds that are broken, one line each. */
export function brokenBounds(rows: readonly Row[]): string[] {
  const hasP99 = new Set(rows.filter(({ metric }) => metric === "receipt_p99_ms").map((one) => one.case));
  const bounds: Readonly<Record<string, (name: string) => number>> = {
    receipt_p99_ms: () => RECEIPT_P99_MS,
    receipt_worst_ms: (name) => (hasP99.has(name) ? Number.POSITIVE_INFINITY : RECEIPT_WORST_MS),
    client_end_worst_ms: () => CLIENT_END_MS,
    bytes_after_receipt: () => 0,
    end_worst_ms: () => PARTITION_END_MS,
    last_byte_ms: () => PARTITION_END_MS,
    faults: () => 0,
  };
  return rows.flatMap((one) => {
    const bound = bounds[one.metric]?.(one.case) ?? Number.POSITIVE_INFINITY;
    return one.value <= bound ? [] : [`${one.case}: ${one.metric} is ${one.value}, must be at most ${bound} (n ${one.n})`];
  });
}
