/** A receipt for people, and the exit code it means: 1 while anything is unconfirmed (CONTRACT "Answers"). */
import type { ReceiptAnswer } from "../protocol/admin-api.ts";
import { printable } from "./printable.ts";

export function receiptText(receipt: ReceiptAnswer): string {
  const { id, kind, target, version, at, found, closed, frozen, kept, slowest_ms: slowest, bytes_in_flight_at_cut: inFlight, unconfirmed } = receipt;
  const what = kind === "policy" ? `policy version ${target}` : `${kind} ${target}`;
  return [
    `receipt ${printable(id)}: ${printable(what)}, ${printable(at)}, under policy version ${version}`,
    `  live streams found ${found}: closed ${closed}, frozen ${frozen}, kept ${kept}`,
    `  slowest confirmation ${slowest} ms; bytes already handed over and in flight at the cut: ${inFlight}`,
    ...unconfirmed.map((one) => `  UNCONFIRMED: site ${printable(one.site)} lane ${one.lane}; what it holds ends with its lease at ${printable(one.lease_ends_at)}`),
    unconfirmed.length === 0 ? "  every lane has confirmed" : `  not complete: ${unconfirmed.length} of the lanes did not confirm`,
    "",
  ].join("\n");
}

export const receiptExit = (receipt: ReceiptAnswer): 0 | 1 => (receipt.complete ? 0 : 1);
