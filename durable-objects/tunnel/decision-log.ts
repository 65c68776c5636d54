/**
 * What this lane decided, on its way to the record (DESIGN §3 promise 8). Repeated allows go in
 * batches and name the facts of their session by reference, written once per snapshot; what is
 * acknowledged at once carries all its facts itself.
 */
import type { Json } from "../../core/json.ts";
import type { AppId, ConnectorId, RequestId } from "../../core/ids.ts";
import type { Decision } from "../../policy/decision.ts";
import type { Ask, Fact, Facts } from "../../policy/facts.ts";
import { decisionData, decisionKind } from "../audit/decision-event.ts";
import type { AuditWriter } from "../audit/record.ts";
import type { AuditEvent } from "../audit/rpc.ts";
import type { HeldLease } from "./lease-table.ts";
import type { LiveStream, StreamEnd } from "./live-stream.ts";

export class DecisionLog {
  readonly #writer: AuditWriter;
  readonly #written = new WeakMap<object, string>();
  #references = 0;

  constructor(writer: AuditWriter) {
    this.#writer = writer;
  }

  get writer(): string {
    return this.#writer.name;
  }

  /** The record cannot keep up: nothing more may be allowed (fail closed). */
  get overloaded(): boolean {
    return this.#writer.overloaded;
  }

  get pending(): number {
    return this.#writer.pending;
  }

  /** While a change is carried out, whose caller waits (audit/record.ts). */
  hold(): () => void {
    return this.#writer.hold();
  }

  /** A repeated allow, or a decision on a live stream. */
  add(
    id: RequestId,
    ask: Ask,
    facts: Facts,
    lease: HeldLease | undefined,
    connection: { readonly [name: string]: Fact },
    decision: Decision,
    now: number,
  ): void {
    const shared = lease?.snapshot.facts;
    const reference = shared === undefined ? undefined : this.#refer(shared, now);
    this.#writer.add({ id, at: now, kind: decisionKind(facts), data: decisionData(ask, facts, decision, connection, reference) });
  }

  /** Its connector was lost before the first byte of the answer: it is decided on and sent once more, to another. */
  repeated(id: RequestId, app: AppId, connector: ConnectorId, now: number): void {
    this.#writer.add({ id, at: now, kind: "repeated", data: { app, connector } });
  }

  /** A part of the house that decisions had to do without, since then and until then. */
  lost(part: string, since: number | undefined, until?: number): void {
    this.#writer.add(lossEvent({ part, since, until }));
  }

  /** What a `writer` of before wrote since then may be gone with it; nothing can be stored until it was. */
  resume(since: number, writer: string): void {
    this.#writer.resume(since, lossEvent({ part: "audit", since, writer }));
  }

  streamEnded(stream: LiveStream, how: StreamEnd, now: number): void {
    this.#writer.add({
      id: stream.id,
      at: now,
      kind: "stream_end",
      data: {
        app: stream.ask.app,
        protocol: stream.ask.protocol,
        how,
        bytes_in: stream.bytesIn,
        bytes_out: stream.bytesOut,
        lasted_ms: now - stream.openedAt,
      },
    });
  }

  #refer(facts: { readonly [name: string]: Fact }, now: number): string {
    const known = this.#written.get(facts);
    if (known !== undefined) return known;
    const reference = `${this.#writer.name}:${++this.#references}`;
    this.#written.set(facts, reference);
    this.#writer.add({ id: reference, at: now, kind: "facts", data: { facts: facts as unknown as Json } });
    return reference;
  }
}

const lossEvent = (data: AuditEvent["data"]): AuditEvent => ({ id: `loss_${crypto.randomUUID()}`, at: Date.now(), kind: "loss", data });
