/**
 * Which policies of an app can count for a subject at all: those that name nobody, and those that
 * name one of its groups, its user, its address or its service. With it 1,000 policies of 1,000
 * groups cost what the few cost that name this subject.
 */
import { factOf, textOf, unknownForService } from "./criterion.ts";
import type { Entry } from "./entry.ts";
import type { Input } from "./kleene.ts";

const KINDS = ["service", "user", "email", "group"] as const;
type Kind = (typeof KINDS)[number];

interface Keyed {
  readonly kind: Kind;
  readonly all: readonly Entry[];
  readonly byKey: ReadonlyMap<string, readonly Entry[]>;
}

export interface Index {
  readonly all: readonly Entry[];
  /** Not keyed: looked at for every subject. */
  readonly general: readonly Entry[];
  readonly keyed: readonly Keyed[];
}

/** The criterion of the top block, where all must hold, that an entry is filed under. */
const kindOf = (entry: Entry): Kind | undefined => KINDS.find((kind) => entry.when[kind] !== undefined);

export function makeIndex(entries: readonly Entry[]): Index {
  const keyed: Keyed[] = [];
  for (const kind of KINDS) {
    const filed = entries.filter((entry) => kindOf(entry) === kind);
    if (filed.length === 0) continue;
    const byKey = new Map<string, Entry[]>();
    for (const entry of filed) {
      for (const key of entry.when[kind] ?? []) {
        const bucket = byKey.get(key);
        if (bucket === undefined) byKey.set(key, [entry]);
        else bucket.push(entry);
      }
    }
    keyed.push({ kind, all: filed, byKey });
  }
  return { all: entries, general: entries.filter((entry) => kindOf(entry) === undefined), keyed };
}

/** What the subject would be filed under; undefined if that is unknown. Leaves in `changesAt` until when. */
function keysOf(kind: Kind, input: Input): readonly unknown[] | undefined {
  const { subject } = input.facts;
  input.changesAt = Infinity;
  if (kind === "service") {
    if (subject.kind === "user" || subject.kind === "device") return [];
    const name = textOf(input, "service");
    return name === undefined ? undefined : [name];
  }
  if (unknownForService(input)) return undefined;
  if (kind === "email") {
    const email = textOf(input, "email");
    return email === undefined ? undefined : [email];
  }
  if (kind === "user") {
    const user = textOf(input, "user");
    return user === undefined ? undefined : subject.kind === "user" ? [user, subject.id] : [user];
  }
  const groups = factOf(input, "groups")?.value;
  return Array.isArray(groups) && groups.every((item) => typeof item === "string") ? groups : undefined;
}

/**
 * The entries whose tests must be run. With `unknownCounts` (deny, limit: P2, P5) also those that
 * would be unknown. Leaves in `input.changesAt` the instant at which another entry may join.
 */
export function candidatesOf(index: Index, input: Input, unknownCounts: boolean): readonly Entry[] {
  let until = Infinity;
  let found = index.general;
  for (const { kind, all, byKey } of index.keyed) {
    const keys = keysOf(kind, input);
    until = Math.min(until, input.changesAt);
    if (keys === undefined) {
      // An allow filed under a user id may count although the user fact is missing.
      const { subject } = input.facts;
      const more = unknownCounts ? all : kind === "user" && subject.kind === "user" ? byKey.get(subject.id) : undefined;
      if (more !== undefined) found = [...found, ...more];
      continue;
    }
    const seen = new Set<Entry>();
    for (const key of keys) for (const entry of byKey.get(key as string) ?? []) seen.add(entry);
    if (seen.size > 0) found = [...found, ...seen];
  }
  input.changesAt = until;
  return found;
}
