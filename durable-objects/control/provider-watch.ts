/**
 * Whether identity providers answer, as far as a live document asks what goes on without them
 * (POLICY P19). Control asks each itself, at the provider's own addresses: from time to time, and
 * sooner when somebody is about to sign in. What a browser brings counts for nothing.
 */
import { at } from "../../core/time.ts";
import { newProviderCache } from "../../identity/provider-cache.ts";
import { providerKeys } from "../../identity/provider-keys.ts";
import { discover } from "../../identity/oidc-discovery.ts";
import type { PolicyDocument, Provider } from "../../policy/document.ts";
import { needsProviders } from "../../policy/losses.ts";
import type { CutReport } from "../cut-report.ts";

/** A provider that answers is asked this often, and no oftener than CALLED_MS because of those who sign in. */
export const LOOK_MS = 60_000;
export const CALLED_MS = 10_000;
/** One that did not: again after this; one that is away: twice as late each time, up to the last. */
export const AGAIN_MS = 5_000;
export const MAX_AGAIN_MS = 30_000;
/** So many questions in a row without an answer, and it is away; one answer, and it is back. */
export const AWAY_COUNT = 3;

export interface Seen {
  /** When it was asked last. */
  readonly at: number;
  /** Questions in a row without an answer. */
  readonly silent: number;
  /** When the first of them was asked. */
  readonly since: number;
  /** The lanes and the record know whether it is away. */
  readonly told: boolean;
}

const isAway = ({ silent }: Seen): boolean => silent >= AWAY_COUNT;

export function afterLook(seen: Seen, answered: boolean, at: number): Seen {
  const next = { at, silent: answered ? 0 : seen.silent + 1, since: seen.silent > 0 ? seen.since : at, told: true };
  return { ...next, told: seen.told && isAway(next) === isAway(seen) };
}

/** When it is asked next. */
export const nextLook = ({ at: last, silent, told }: Seen): number =>
  last + (told && silent === 0 ? LOOK_MS : Math.min(AGAIN_MS * 2 ** Math.max(0, silent - AWAY_COUNT), MAX_AGAIN_MS));

interface ObjectContext {
  readonly storage: {
    readonly kv: { get(key: string): unknown; put(key: string, value: unknown): void; delete(key: string): unknown; list(options: { prefix: string }): Iterable<[string, unknown]> };
  };
  waitUntil(work: Promise<unknown>): void;
}

export interface WatchWork {
  readonly document: () => PolicyDocument | undefined;
  /** Tells every lane who is away. */
  readonly tell: (away: Readonly<Record<string, number>>) => Promise<CutReport>;
  readonly record: (data: Record<string, string | number | undefined>) => Promise<void>;
  /** Its alarm calls `resume` by then. */
  readonly wakeAt: (at: number) => void;
}

/** In the object's storage: `provider/<id>`. */
const PREFIX = "provider/";
const keyOf = (id: string): string => PREFIX + id;

export class ProviderWatch {
  readonly #ctx: ObjectContext;
  readonly #kv: ObjectContext["storage"]["kv"];
  readonly #work: WatchWork;
  readonly #looking = new Set<string>();

  constructor(ctx: ObjectContext, work: WatchWork) {
    this.#ctx = ctx;
    this.#kv = ctx.storage.kv;
    this.#work = work;
  }

  /** Who is away, and for how long, by this object's clock. */
  away(): Readonly<Record<string, number>> {
    const now = Date.now();
    const away: Record<string, number> = {};
    for (const [key, seen] of this.#kv.list({ prefix: PREFIX }) as Iterable<[string, Seen]>) if (isAway(seen)) away[key.slice(PREFIX.length)] = now - seen.since;
    return away;
  }

  /** Somebody is about to sign in there. Answers what is known; what is newer comes of it. */
  called(id: string): boolean {
    const provider = this.#providers().find((one) => one.id === id);
    if (provider === undefined) return false;
    const seen = this.#seen(id);
    if (!isAway(seen) && Date.now() >= seen.at + CALLED_MS) this.#ctx.waitUntil(this.#look(provider));
    return isAway(seen);
  }

  /** Looks wherever it is time to. Waits for nobody: the alarm has other things to do. */
  resume(): void {
    const now = Date.now();
    const providers = this.#providers();
    for (const [key] of [...this.#kv.list({ prefix: PREFIX })]) if (!providers.some(({ id }) => keyOf(id) === key)) this.#kv.delete(key);
    for (const provider of providers) {
      const due = nextLook(this.#seen(provider.id));
      if (now < due) this.#work.wakeAt(due);
      else this.#ctx.waitUntil(this.#look(provider));
    }
  }

  #providers(): readonly Provider[] {
    const document = this.#work.document();
    return document !== undefined && needsProviders(document) ? document.providers : [];
  }

  #seen(id: string): Seen {
    return (this.#kv.get(keyOf(id)) as Seen | undefined) ?? { at: 0, silent: 0, since: 0, told: true };
  }

  async #look(provider: Provider): Promise<void> {
    const { id } = provider;
    if (this.#looking.has(id)) return;
    this.#looking.add(id);
    // Should this object be replaced meanwhile.
    this.#work.wakeAt(Date.now() + MAX_AGAIN_MS);
    try {
      const askedAt = Date.now();
      const before = this.#seen(id);
      const seen = afterLook(before, await answers(provider), askedAt);
      this.#kv.put(keyOf(id), seen);
      if (!seen.told) await this.#say(provider, seen);
    } catch {
      // Told again with the next look.
    } finally {
      this.#looking.delete(id);
      this.#work.wakeAt(nextLook(this.#seen(id)));
    }
  }

  /** First the effect, then the record. That one is back, a lane hears with its next lease: nothing is narrower then. */
  async #say({ id }: Provider, seen: Seen): Promise<void> {
    const report = isAway(seen) ? await this.#work.tell(this.away()) : undefined;
    await this.#work.record({ part: "identity", provider: id, since: seen.since, found: report?.found, closed: report?.closed, ...(report === undefined ? { until: seen.at } : {}) });
    this.#kv.put(keyOf(id), { ...this.#seen(id), told: true });
  }
}

/** What a sign-in needs of it: its metadata and its keys. A refusal (400 to 499) is an answer: whoever stands before it can refuse us, and it is there. */
async function answers({ clientSecret: _unused, ...provider }: Provider): Promise<boolean> {
  const io = { fetch: (url: string, init: RequestInit) => fetch(url, init), deadline: (ms: number) => AbortSignal.timeout(ms), now: () => at(Date.now()), cache: newProviderCache() };
  const found = await discover(provider, io);
  const keys = found.ok ? await providerKeys(provider, found.value, io, false) : found;
  return keys.ok || / 4\d\d$/.test(keys.error.cause);
}
