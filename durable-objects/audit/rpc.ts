/** Audit: the calls it answers, and the shape of a record. Types only. */
import type { Json } from "../../core/json.ts";

/**
 * One event as its writer hands it over. `n` counts a writer's records from 1 without a gap, so
 * that a crash leaves a gap that shows (DESIGN §3 promise 8).
 */
export interface AuditEvent {
  readonly id: string;
  readonly at: number;
  readonly kind: AuditKind;
  readonly data: { readonly [key: string]: Json | undefined };
}

/** An event whose data is canonical JSON already: many of them travel and are stored as they are. */
export interface WrittenEvent extends Omit<AuditEvent, "data"> {
  readonly data: string;
}

export type AuditKind =
  | "decision"
  | "facts"
  | "sign_in"
  | "sign_out"
  | "sign_in_refused"
  | "passkey"
  | "revocation"
  | "signal"
  | "directory"
  | "policy_applied"
  | "setup"
  | "grant"
  | "service"
  | "break_glass"
  | "enroll_token"
  | "connector"
  | "device"
  | "stream_end"
  | "repeated"
  | "loss"
  | "anonymous_denials"
  | "admin";

export interface StoredEvent extends AuditEvent {
  readonly seq: number;
  readonly writer: string;
  readonly n: number;
  /** Base64url SHA-256 over the previous hash and this record (chain.ts). */
  readonly hash: string;
}

export interface AuditRpc {
  /**
   * Stores before it answers. `n` of the first event; a repeated batch is stored once. Without
   * events it registers the writer, so that a crash before its first batch shows (M20).
   */
  append(writer: string, firstNumber: number, events: readonly (AuditEvent | WrittenEvent)[]): Promise<{ seq: number }>;
  /** A writer's last number; without it the writer counts as "up to 2 s lost after n" (M20). */
  close(writer: string, lastNumber: number): Promise<void>;
  find(id: string): Promise<readonly StoredEvent[]>;
  /** Records after a number, in order. (Not "tail": the runtime keeps that name for a handler of its own.) */
  since(after: number, limit: number): Promise<readonly StoredEvent[]>;
  verify(): Promise<AuditVerdict>;
}

export interface AuditVerdict {
  readonly records: number;
  readonly broken: readonly { readonly seq: number; readonly what: string }[];
  readonly gaps: readonly { readonly writer: string; readonly after: number }[];
  readonly head: string;
}
