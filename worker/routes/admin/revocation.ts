/** Ending trust: revoke, and the receipt that says what it did (CONTRACT "The receipt"). */
import { CONTROL_NAME } from "../../../durable-objects/bindings.ts";
import type { Receipt, RevokeKind } from "../../../durable-objects/control/rpc.ts";
import type { ReceiptAnswer } from "../../../protocol/admin-api.ts";
import { readBoundedJson } from "../../bounded-body.ts";
import type { Exchange } from "../../exchange.ts";
import { json, refuse } from "../../respond.ts";
import { asOperator, carryOut } from "./operator.ts";

const MAX_BODY_BYTES = 4 * 1024;
const KINDS: readonly RevokeKind[] = ["session", "user", "device", "connector", "app", "grant", "service"];

export function receiptJson(receipt: Receipt): ReceiptAnswer {
  const { id, kind, target, version, at, report, complete } = receipt;
  return {
    id,
    kind,
    target,
    version,
    at: new Date(at).toISOString(),
    found: report.found,
    closed: report.closed,
    frozen: report.frozen,
    kept: report.kept,
    slowest_ms: report.slowestMs,
    bytes_in_flight_at_cut: report.bytesInFlightAtCut,
    unconfirmed: report.unconfirmed.map((one) => ({ site: one.site, lane: one.lane, lease_ends_at: new Date(one.leaseEndsAt).toISOString() })),
    complete,
  };
}

/** POST /.postern/api/v1/revoke {kind, id} */
export async function revoke(x: Exchange): Promise<Response> {
  const operator = await asOperator(x, "responder");
  if (operator instanceof Response) return operator;
  const body = await readBoundedJson(x.request, MAX_BODY_BYTES);
  const kind = KINDS.find((one) => one === body?.["kind"]);
  const id = body?.["id"];
  if (kind === undefined || typeof id !== "string" || id === "") {
    return refuse(x, "bad_argument", { detail: `The body must be {"kind": one of ${KINDS.join(", ")}, "id": text}.` });
  }
  const done = await carryOut(x, "responder", ({ by }) => x.env.CONTROL.getByName(CONTROL_NAME).revoke({ kind, id, by }));
  if (done instanceof Response) return done;
  return done.ok ? json(x, receiptJson(done.receipt)) : refuse(x, "unknown_id", { detail: done.detail });
}

/** GET /.postern/api/v1/receipts/:id */
export async function receipt(x: Exchange, id: string): Promise<Response> {
  const operator = await asOperator(x, "viewer");
  if (operator instanceof Response) return operator;
  const found = await x.env.CONTROL.getByName(CONTROL_NAME).receipt(id);
  return found === undefined ? refuse(x, "unknown_id") : json(x, receiptJson(found));
}
