/** A drill's report for people. */
import { printable } from "../printable.ts";
import { receiptText } from "../receipt-text.ts";
import { table } from "../table.ts";
import type { DrillReport } from "./drill.ts";
import type { ProtocolReport } from "./measure.ts";

const HEADINGS = ["PROTOCOL", "OPENED", "ENDED", "HOW", "AFTER REQUEST", "AFTER RECEIPT", "BYTES AFTER", "IN FLIGHT", "HEARD AFTER", "OPEN AT CANARY"];

const ms = (value: number | null): string => (value === null ? "-" : `${value} ms`);
const known = (value: number | null): string => (value === null ? "unknown" : `${value}`);
const row = (one: ProtocolReport): readonly string[] => [
  one.protocol,
  `${one.opened}`,
  `${one.ended}`,
  Object.entries(one.ends).map(([end, count]) => `${count} ${end}`).join(", "),
  ms(one.slowest_end_after_request_ms),
  ms(one.slowest_end_after_receipt_ms),
  `${one.bytes_after_receipt}`,
  `${one.bytes_in_flight}`,
  known(one.heard_after_receipt),
  known(one.open_at_canary),
];

export function drillText({ ok, rounds, left_out: leftOut, faults }: DrillReport): string {
  return [
    ...rounds.map(({ revoked, receipts, receipt_ms: took, stalled_ms: stalled, protocols }) => `${revoked}: answered after ${took} ms${stalled > 20 ? ` (this machine stood still for ${stalled} ms of it)` : ""}\n${receipts.map(receiptText).join("")}${table(HEADINGS, protocols.map(row), "nothing was open")}\n`),
    ...leftOut.map((line) => `left out: ${printable(line)}\n`),
    ok ? "every connection ended as the receipts say\n" : `${faults.length} not as promised\n`,
  ].join("");
}

/** For standard error, as any failure. */
export const faultsText = ({ faults }: DrillReport): string => {
  const fixes = [...new Set(faults.flatMap(({ fix }) => fix))];
  return `${[...faults.flatMap(({ what, why }) => [`error: ${printable(what)}`, `why: ${printable(why)}`]), ...fixes.map((fix) => `fix: ${printable(fix)}`)].join("\n")}\n`;
};
