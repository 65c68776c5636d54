/**
 * What was done to live streams when trust ended: the parts that add up to a receipt
 * (CONTRACT.md "The receipt"). Not the receipt itself, which control stores.
 */
export interface CutReport {
  /** Live streams that the change looked at. */
  readonly found: number;
  readonly closed: number;
  readonly frozen: number;
  readonly kept: number;
  /** From the moment the change was decided until the last confirmation, milliseconds. */
  readonly slowestMs: number;
  /** Bytes handed to a kernel or the edge network before the cut and not known to be delivered. */
  readonly bytesInFlightAtCut: number;
  readonly unconfirmed: readonly Unconfirmed[];
}

/** A lane that did not confirm; what it knows ends with its lease. */
export interface Unconfirmed {
  readonly site: string;
  readonly lane: number;
  readonly leaseEndsAt: number;
}

export const NOTHING_CUT: CutReport = {
  found: 0,
  closed: 0,
  frozen: 0,
  kept: 0,
  slowestMs: 0,
  bytesInFlightAtCut: 0,
  unconfirmed: [],
};

/** Adds reports; the slowest is the slowest of all. */
export function addReports(reports: readonly CutReport[]): CutReport {
  return reports.reduce(
    (sum, one) => ({
      found: sum.found + one.found,
      closed: sum.closed + one.closed,
      frozen: sum.frozen + one.frozen,
      kept: sum.kept + one.kept,
      slowestMs: Math.max(sum.slowestMs, one.slowestMs),
      bytesInFlightAtCut: sum.bytesInFlightAtCut + one.bytesInFlightAtCut,
      unconfirmed: [...sum.unconfirmed, ...one.unconfirmed],
    }),
    NOTHING_CUT,
  );
}
