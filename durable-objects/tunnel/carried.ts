/**
 * Requests that came to a lane in batches, until their answers are fetched (M16). Each is opened,
 * decided, recorded and cut like any other; only their way back is shared. An answer that is not
 * whole, too large or late goes back as a claim, and waits here for its own request.
 */
import type { RequestId } from "../../core/ids.ts";
import { type BatchItem, packReply } from "../batch-reply.ts";
import type { Deadlines } from "./deadlines.ts";
import { type Answered, brokenSince, isEventStream, refuse, type Reply } from "./open-stream.ts";
import type { Claim, OpenContext } from "./rpc.ts";

/** Answers above this are fetched one by one. */
export const MAX_WHOLE_BYTES = 64 * 1024;
/** Bodies of one reply; what does not fit goes with the next. Bounds what an isolate and a lane hold in one piece. */
const MAX_REPLY_BYTES = 1024 * 1024;
/** Requests held for isolates that may never come back for them; more are refused. */
const MAX_HELD_COUNT = 2_048;
/** What has no answer by then becomes a claim: nobody waits in a batch for a slow app. */
export const CLAIM_AFTER_MS = 5_000;
/** An answer that nobody fetched for this long is given up. */
const UNCLAIMED_MS = 15_000;
/** How long the end of a small body may come after its head. */
const GATHER_MS = 10;
/** What may be carried: it asks for nothing twice, and sends nothing. */
const CARRIED = /^(?:GET|HEAD)$/;

interface Held {
  readonly id: RequestId;
  readonly sid: OpenContext["sid"];
  readonly since: number;
  readonly reply: Promise<Reply>;
  /** Once it is known what becomes of it. */
  known: Reply | undefined;
  tell: () => void;
}

export class CarriedRequests {
  readonly #open: (open: OpenContext) => Promise<Reply>;
  readonly #deadlines: Deadlines;
  readonly #held = new Map<RequestId, Held>();

  constructor(open: (open: OpenContext) => Promise<Reply>, deadlines: Deadlines) {
    this.#open = open;
    this.#deadlines = deadlines;
  }

  get size(): number {
    return this.#held.size;
  }

  carry(opens: readonly OpenContext[]): Promise<Uint8Array> {
    for (const open of opens) this.#begin(open);
    return this.collect(opens.map((open) => open.request));
  }

  #begin(open: OpenContext): void {
    if (this.#held.has(open.request)) return;
    const refused = open.body !== "none" || open.ask.protocol !== "http" || !CARRIED.test(open.method) || this.#held.size >= MAX_HELD_COUNT;
    const reply = refused
      ? Promise.resolve(refuse({ code: "overloaded", policyVersion: 0 }))
      : this.#open(open).catch(() => refuse({ code: "unavailable", policyVersion: 0 }));
    const held: Held = { id: open.request, sid: open.sid, since: Date.now(), reply, known: undefined, tell: () => undefined };
    this.#held.set(held.id, held);
    this.#deadlines.set(held, UNCLAIMED_MS, () => this.#giveUp(held));
    void reply.then((known) => this.#learn(held, known));
  }

  async #learn(held: Held, known: Reply): Promise<void> {
    if (known.kind === "answered" && this.#mayBecomeWhole(known)) await known.relay.gather(known.head.length, MAX_WHOLE_BYTES, GATHER_MS);
    held.known = known;
    held.tell();
  }

  #mayBecomeWhole({ head, bodiless, relay }: Answered): boolean {
    return !bodiless && !relay.isWhole(head.length) && (head.length ?? 0) <= MAX_WHOLE_BYTES && !isEventStream(head);
  }

  /** Answers once something is known of at least one of them, or one became a claim. */
  async collect(ids: readonly RequestId[]): Promise<Uint8Array> {
    const wanted = ids.map((id) => this.#held.get(id)).filter((held): held is Held => held !== undefined);
    const isDue = ({ known, since }: Held): boolean => known !== undefined || Date.now() - since >= CLAIM_AFTER_MS;
    while (wanted.length > 0 && !wanted.some(isDue)) {
      const oldest = Math.min(...wanted.map((held) => held.since));
      const owner = {};
      await new Promise<void>((tell) => {
        for (const held of wanted) held.tell = tell;
        this.#deadlines.set(owner, oldest + CLAIM_AFTER_MS - Date.now(), tell);
      });
      this.#deadlines.clear(owner);
    }
    return this.#pack(wanted.filter(isDue));
  }

  #pack(due: readonly Held[]): Uint8Array {
    const items: BatchItem[] = [];
    const bodies: Uint8Array[] = [];
    let room = MAX_REPLY_BYTES;
    for (const held of due) {
      if (room <= 0) break;
      const { id, sid, known } = held;
      const whose = sid === undefined ? { id } : { id, sid };
      const refusal = known?.kind === "refused" ? known.refusal : known?.kind === "answered" ? brokenSince(known) : undefined;
      const body = refusal === undefined && known?.kind === "answered" ? bodyOf(known) : undefined;
      if (refusal !== undefined) items.push({ ...whose, kind: "refused", refusal });
      else if (known?.kind === "answered" && body !== undefined) {
        const { status, reason, length } = known.head;
        const bytes = body === null ? {} : { bytes: body.length, ...(length === undefined ? { chunked: true as const } : {}) };
        items.push({ ...whose, kind: "whole", status, ...(reason === undefined ? {} : { reason }), headers: known.headers, ...bytes });
        if (body !== null) {
          bodies.push(body);
          room -= body.length;
        }
      } else {
        items.push({ ...whose, kind: "claim" });
        continue;
      }
      this.#forget(held);
    }
    return packReply(items, bodies);
  }

  /** The reply to a claim: only for whom the request was, and once. */
  async claim({ request, sid }: Claim): Promise<Reply> {
    const held = this.#held.get(request);
    if (held === undefined || held.sid !== sid) return refuse({ code: "unavailable", policyVersion: 0, detail: "nothing to claim" });
    this.#forget(held);
    return held.reply;
  }

  #forget(held: Held): void {
    this.#held.delete(held.id);
    this.#deadlines.clear(held);
  }

  #giveUp(held: Held): void {
    this.#forget(held);
    void held.reply.then((reply) => {
      if (reply.kind === "answered") reply.relay.giveUp();
    });
  }
}

/** Null: there is none; undefined: it is not whole, or may not pass now. */
function bodyOf({ bodiless, relay, head }: Answered): Uint8Array | null | undefined {
  if (!bodiless) return relay.whole(head.length, MAX_WHOLE_BYTES);
  relay.finishWithoutBody();
  return null;
}
