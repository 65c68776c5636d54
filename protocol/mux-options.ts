/**
 * How a mux is set up, and the limits that apply where nothing is said. Not for tuning in
 * production: the defaults are the limits of SPEC.md, tests make them small.
 */
import { INITIAL_WINDOW_BYTES } from "./frames.ts";
import { MAX_BACKLOG_COUNT, MAX_BUFFERED_BYTES, MAX_CREDIT_BYTES, MAX_STREAMS_COUNT, WINDOW_BYTES } from "./limits.ts";

export interface MuxOptions {
  /** The connector is the yamux client (odd ids), the edge the server (even ids). */
  readonly role: "connector" | "edge";
  /** A clock in milliseconds, read once per message; only the rates of resets, garbage and pings use it. */
  readonly now: () => number;
  /** Receive window per stream, at least yamux's initial 256 KiB. */
  readonly windowBytes?: number;
  readonly maxStreams?: number;
  readonly maxBufferedBytes?: number;
  readonly maxBacklog?: number;
  readonly maxCreditBytes?: number;
  /** False: every stream that the peer opens is refused without an event. Default true. */
  readonly accept?: boolean;
  /** Memory for messages, that may hold anything: 4 KiB, or a whole message of MAX_MESSAGE_BYTES. Default: fresh. */
  readonly allocate?: (bytes: number) => Uint8Array;
}

/** The options with every default filled in. A window below yamux's initial one cannot be announced and is raised to it. */
export function settled(options: MuxOptions): Required<MuxOptions> {
  return {
    role: options.role,
    now: options.now,
    windowBytes: Math.max(options.windowBytes ?? WINDOW_BYTES, INITIAL_WINDOW_BYTES),
    maxStreams: options.maxStreams ?? MAX_STREAMS_COUNT,
    maxBufferedBytes: options.maxBufferedBytes ?? MAX_BUFFERED_BYTES,
    maxBacklog: options.maxBacklog ?? MAX_BACKLOG_COUNT,
    maxCreditBytes: options.maxCreditBytes ?? MAX_CREDIT_BYTES,
    accept: options.accept ?? true,
    allocate: options.allocate ?? ((bytes) => new Uint8Array(bytes)),
  };
}
