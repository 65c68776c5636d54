/**
 * The admissions that one tunnel has brought (M17): verified once, named by digest, forgotten
 * when they run out or their session is cut. An admission that does not verify is never stored.
 */
import { createHash } from "node:crypto";
import type { SessionId, SiteId } from "../core/ids.ts";
import { verifyAdmission } from "../identity/admission.ts";
import type { VerifiedAdmission } from "../identity/admission.ts";
import type { EdgeClock } from "./edge-clock.ts";
import type { PinnedKeys } from "./pinned-keys.ts";

/** Admissions held per tunnel, at most 30 s each: bounds what an edge can make a connector hold. */
const MAX_ADMISSIONS_COUNT = 20_000;

type Entry = { readonly kind: "checking"; readonly done: Promise<void> } | { readonly kind: "verified"; readonly admission: VerifiedAdmission };

export class AdmissionStore {
  readonly #entries = new Map<string, Entry>();
  readonly #keys: PinnedKeys;
  readonly #clock: EdgeClock;
  readonly #expected: { readonly connectorThumbprint: string; readonly site: SiteId };
  /** Counts cuts of sessions: a verification that began before a cut must not bring its session back. */
  readonly #cutAt = new Map<SessionId, number>();
  /** Which sessions were cut before that is forgotten: what was being verified then counts as cut. It takes milliseconds. */
  #forgottenAt = 0;
  #moment = 0;

  constructor(keys: PinnedKeys, clock: EdgeClock, connectorThumbprint: string, site: SiteId) {
    this.#keys = keys;
    this.#clock = clock;
    this.#expected = { connectorThumbprint, site };
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Takes an admission; the returned promise says how it went: undefined, or the problem's name. */
  add(jws: string): Promise<string | undefined> {
    // The digest must be known at once: the stream-open that names it may be in the next message.
    const digest = createHash("sha256").update(jws).digest("base64url");
    if (this.#entries.has(digest)) return Promise.resolve(undefined);
    if (this.#entries.size >= MAX_ADMISSIONS_COUNT) this.#sweep();
    if (this.#entries.size >= MAX_ADMISSIONS_COUNT) return Promise.resolve("too_many");
    const began = ++this.#moment;
    const outcome = this.#verify(jws, digest, began);
    this.#entries.set(digest, { kind: "checking", done: outcome.then(() => undefined) });
    return outcome;
  }

  /** The admission of that digest, a promise while its verification is under way; undefined if unknown, refused, expired or cut. */
  find(digest: string): VerifiedAdmission | undefined | Promise<VerifiedAdmission | undefined> {
    const entry = this.#entries.get(digest);
    return entry?.kind === "checking" ? entry.done.then(() => this.#settled(digest)) : this.#settled(digest);
  }

  #settled(digest: string): VerifiedAdmission | undefined {
    const settled = this.#entries.get(digest);
    if (settled?.kind !== "verified") return undefined;
    if (settled.admission.expiresAt > this.#clock.now()) return settled.admission;
    this.#entries.delete(digest);
    return undefined;
  }

  /** Forgets every admission of these sessions, also those still being verified. */
  cut(sessions: readonly SessionId[]): void {
    const cut = new Set(sessions);
    const moment = ++this.#moment;
    if (this.#cutAt.size > MAX_ADMISSIONS_COUNT) {
      this.#cutAt.clear();
      this.#forgottenAt = moment;
    }
    for (const session of cut) this.#cutAt.set(session, moment);
    for (const [digest, entry] of this.#entries) {
      if (entry.kind === "verified" && cut.has(entry.admission.sid)) this.#entries.delete(digest);
    }
  }

  async #verify(jws: string, digest: string, began: number): Promise<string | undefined> {
    const verified = await verifyAdmission(jws, this.#keys.current, { ...this.#expected, uncertaintyMs: this.#clock.uncertaintyMs }, this.#clock.now());
    if (!verified.ok) {
      this.#entries.delete(digest);
      return verified.error;
    }
    if ((this.#cutAt.get(verified.value.sid) ?? this.#forgottenAt) > began) {
      this.#entries.delete(digest);
      return "cut";
    }
    this.#entries.set(digest, { kind: "verified", admission: verified.value });
    return undefined;
  }

  #sweep(): void {
    const now = this.#clock.now();
    for (const [digest, entry] of this.#entries) if (entry.kind === "verified" && entry.admission.expiresAt <= now) this.#entries.delete(digest);
  }
}
