/**
 * The hash chain of an audit shard: each record's hash covers the one before it, so that a
 * removed, altered or reordered record shows. Pure: the digest is an argument. Not a signature:
 * whoever can rewrite the whole shard can rewrite its chain; checkpoints kept elsewhere stop that.
 */
import { canonicalJson, type Json } from "../../core/json.ts";
import type { AuditEvent, AuditVerdict, StoredEvent } from "./rpc.ts";

export type Digest = (text: string) => string;

/** The hash before the first record. */
export const GENESIS = "postern-audit-v1";

export function hashOf(previous: string, event: AuditEvent & { seq: number; writer: string; n: number }, digest: Digest): string {
  return hashOfText(previous, event, canonicalJson(event.data as Json), digest);
}

/** The same of an event whose data was written as canonical JSON already: keys in their order, `data` as it stands. */
export function hashOfText(previous: string, event: Omit<AuditEvent, "data"> & { seq: number; writer: string; n: number }, data: string, digest: Digest): string {
  const { seq, writer, n, id, at, kind } = event;
  return digest(`${previous}\n{"at":${at},"data":${data},"id":${JSON.stringify(id)},"kind":"${kind}","n":${n},"seq":${seq},"writer":${JSON.stringify(writer)}}`);
}

/** Walks a shard in order and names every record that does not follow from the one before it. */
export function verifyChain(records: Iterable<StoredEvent>, digest: Digest): AuditVerdict {
  const broken: { seq: number; what: string }[] = [];
  const lastOf = new Map<string, number>();
  const gaps: { writer: string; after: number }[] = [];
  let previous = GENESIS;
  let expected = 1;
  let count = 0;
  for (const record of records) {
    count++;
    if (record.seq !== expected) broken.push({ seq: record.seq, what: `expected record ${expected}` });
    else if (hashOf(previous, record, digest) !== record.hash) broken.push({ seq: record.seq, what: "does not follow from the record before it" });
    if (record.n > 0) {
      const last = lastOf.get(record.writer) ?? 0;
      if (record.n !== last + 1) gaps.push({ writer: record.writer, after: last });
      lastOf.set(record.writer, record.n);
    }
    previous = record.hash;
    expected = record.seq + 1;
  }
  return { records: count, broken, gaps, head: previous };
}
