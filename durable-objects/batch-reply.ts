/**
 * What a lane answers to requests that came in one batch (M16): several whole answers in one
 * buffer, each with the request and the session that it is for. Pure; both ends use it.
 *
 *   [length of the JSON u32be][JSON: BatchItem[]][bodies, in the order of the items]
 */
import { concat } from "../core/bytes.ts";
import type { RequestId, SessionId } from "../core/ids.ts";
import type { Refusal } from "./tunnel/rpc.ts";

interface For {
  readonly id: RequestId;
  readonly sid?: SessionId;
}
export type BatchItem = For &
  (
    | { readonly kind: "refused"; readonly refusal: Refusal }
    /** Not whole, too large, or late: the waiter fetches it as its own request. */
    | { readonly kind: "claim" }
    | {
        readonly kind: "whole";
        readonly status: number;
        readonly reason?: string;
        readonly headers: [string, string][];
        /** Of the body; absent: there is none. */
        readonly bytes?: number;
        /** The app announced no length, so the browser is told none. */
        readonly chunked?: true;
      }
  );

const LENGTH_BYTES = 4;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function packReply(items: readonly BatchItem[], bodies: readonly Uint8Array[]): Uint8Array {
  const json = encoder.encode(JSON.stringify(items));
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setUint32(0, json.length);
  return concat([length, json, ...bodies]);
}

/** The items, each with its body. Throws when the buffer is not what packReply makes. */
export function unpackReply(bytes: Uint8Array): { readonly item: BatchItem; readonly body: Uint8Array | null }[] {
  let at = LENGTH_BYTES + new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
  const items = JSON.parse(decoder.decode(bytes.subarray(LENGTH_BYTES, at))) as BatchItem[];
  const out = items.map((item) => {
    if (item.kind !== "whole" || item.bytes === undefined) return { item, body: null };
    const body = bytes.subarray(at, (at += item.bytes));
    if (body.length !== item.bytes) throw new Error("a body that is cut short");
    return { item, body };
  });
  if (at !== bytes.length) throw new Error("bytes after the last body");
  return out;
}
