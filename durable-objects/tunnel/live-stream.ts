/**
 * One live stream as the lane sees it, whatever its protocol: enough to decide again, to count
 * and to cut. The relays (http-relay.ts, websocket-relay.ts, spliced-stream.ts) move its bytes.
 */
import type { RequestId, SessionId } from "../../core/ids.ts";
import type { Decision, Limits } from "../../policy/decision.ts";
import type { Ask, Fact } from "../../policy/facts.ts";
import type { StreamReport } from "./rpc.ts";

/** What would let a frozen stream go on: a sign-in, and which passkeys (policy/passkey.ts). */
export type Wanted = NonNullable<Decision["stepUp"]> & { readonly passkey: number };

export interface LiveStream {
  readonly id: RequestId;
  /** Absent for a public path. */
  readonly sid: SessionId | undefined;
  readonly ask: Ask;
  /** The facts of the connection that brought it (P17). */
  readonly connection: { readonly [name: string]: Fact };
  /** The launcher's origin, for assertions of a renewed lease. */
  readonly issuer: string;
  readonly openedAt: number;
  /** The link's id and the stream's number on it; a cut names them to the connector. */
  readonly link: string;
  readonly number: number;
  /** From this instant the last decision no longer stands; 0 makes the next byte wait for a new one. */
  redecideAt: number;
  limits: Limits;
  policyVersion: number;
  bytesIn: number;
  bytesOut: number;
  /** Of those bytes, how many the session was told (usage.ts). */
  bytesTold: number;
  held: boolean;
  /** Frozen since then: nothing passes until a step-up is seen, or for too long (freezing.ts). */
  frozenAt?: number | undefined;
  /** Tells whoever can act on it that the stream is frozen, and that it is no more. */
  readonly tell?: (wanted: Wanted | undefined) => void;
  /** Ends both sides at once; answers the bytes that were handed over and may still be on their way. */
  readonly cut: (why: CutReason) => number;
}

/** revoked: the session or app is gone · policy: decided again and no longer allowed · step_up: frozen for too long · limit: bytes used up · link: the connector is gone */
export type CutReason = "revoked" | "policy" | "step_up" | "limit" | "link" | "expired";

/** How a stream ended, for the record. flow: a peer broke a rule of its splice · memory: too much waited on it */
export type StreamEnd = CutReason | "done" | "broken" | "flow" | "memory";

export class StreamTable {
  readonly #streams = new Map<RequestId, LiveStream>();

  get size(): number {
    return this.#streams.size;
  }

  add(stream: LiveStream): void {
    this.#streams.set(stream.id, stream);
  }

  remove(id: RequestId): void {
    this.#streams.delete(id);
  }

  get(id: RequestId): LiveStream | undefined {
    return this.#streams.get(id);
  }

  where(fits: (stream: LiveStream) => boolean): LiveStream[] {
    return [...this.#streams.values()].filter(fits);
  }

  ofSession(sid: SessionId): LiveStream[] {
    return this.where((one) => one.sid === sid);
  }

  /** Whose streams live. */
  sessions(): ReadonlySet<SessionId | undefined> {
    return new Set(Array.from(this.#streams.values(), ({ sid }) => sid));
  }
}

export function reportOf(stream: LiveStream): StreamReport {
  return {
    id: stream.id,
    ...(stream.sid === undefined ? {} : { sid: stream.sid }),
    app: stream.ask.app,
    protocol: stream.ask.protocol,
    bytesIn: stream.bytesIn,
    bytesOut: stream.bytesOut,
    state: stream.frozenAt !== undefined ? "frozen" : stream.held ? "held" : "open",
  };
}
