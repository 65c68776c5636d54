/**
 * Programs that wait to be let in by a person in a browser (RFC 8628). A few minutes each, bounded
 * in number because anybody may ask; it holds no secret: the approved session's one-time code is
 * bound to the device code, which only its program knows.
 */
import type { SessionId } from "../../core/ids.ts";

export interface LoginCodeRequest {
  readonly userCode: string;
  /** Base64url SHA-256 of the device code. */
  readonly deviceHash: string;
  readonly program: string;
  readonly from: string;
  readonly expiresAt: number;
}

export type LoginCodeDecision = "refused" | { readonly sid: SessionId; readonly code: string };
export type LoginCodePoll = "unknown" | "pending" | LoginCodeDecision;

interface Stored extends LoginCodeRequest {
  readonly decision?: LoginCodeDecision;
}

interface SyncStore {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
  delete(key: string): unknown;
  list(options: { prefix: string }): Iterable<[string, unknown]>;
}

/** Requests that may wait at once. Bounds what strangers can make control store (class K). */
export const MAX_LOGIN_CODES_COUNT = 1_000;
const PREFIX = "device:";
const BY_HASH = "device-hash:";

export class LoginCodes {
  readonly #store: SyncStore;

  constructor(store: SyncStore) {
    this.#store = store;
  }

  /** False when too many wait, or the user code is taken. */
  begin(request: LoginCodeRequest, now: number): boolean {
    let waiting = 0;
    for (const [key, value] of this.#store.list({ prefix: PREFIX })) {
      const one = value as Stored;
      if (now < one.expiresAt) waiting++;
      else this.#forget(key.slice(PREFIX.length), one);
    }
    if (waiting >= MAX_LOGIN_CODES_COUNT || this.#read(request.userCode, now) !== undefined) return false;
    this.#store.put(PREFIX + request.userCode, request);
    this.#store.put(BY_HASH + request.deviceHash, request.userCode);
    return true;
  }

  /** A request that nobody has decided yet. */
  find(userCode: string, now: number): LoginCodeRequest | undefined {
    const one = this.#read(userCode, now);
    return one?.decision === undefined ? one : undefined;
  }

  decide(userCode: string, decision: LoginCodeDecision, now: number): boolean {
    const one = this.find(userCode, now);
    if (one === undefined) return false;
    this.#store.put(PREFIX + userCode, { ...one, decision } satisfies Stored);
    return true;
  }

  /** A decision is told once. */
  poll(deviceHash: string, now: number): LoginCodePoll {
    const userCode = this.#store.get(BY_HASH + deviceHash) as string | undefined;
    const one = userCode === undefined ? undefined : this.#read(userCode, now);
    if (userCode === undefined || one === undefined) return "unknown";
    if (one.decision === undefined) return "pending";
    this.#forget(userCode, one);
    return one.decision;
  }

  #read(userCode: string, now: number): Stored | undefined {
    const one = this.#store.get(PREFIX + userCode) as Stored | undefined;
    return one !== undefined && now < one.expiresAt ? one : undefined;
  }

  #forget(userCode: string, one: Stored): void {
    this.#store.delete(PREFIX + userCode);
    this.#store.delete(BY_HASH + one.deviceHash);
  }
}
