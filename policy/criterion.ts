/**
 * What a criterion is: one condition of the language, in one file of criteria/. Each knows how it
 * is written (shape), what it means (read) and how it is tested (compile). Not the tree around
 * them: compile.ts.
 */
import type * as v from "valibot";
import type { Shape } from "./containers.ts";
import type { AppId } from "../core/ids.ts";
import { type Fact, type FactName, GRANT, grantFact } from "./facts.ts";
import type { Input, Test } from "./kleene.ts";
import { didYouMean } from "./suggest.ts";
import type { CriterionName, CriterionValues } from "./when.ts";

/**
 * "who": names the subject; a denial explains itself only to those for whom these hold
 * ("Explained or blank"). "context": what the subject or time can remedy. "open": `anyone`.
 */
export type CriterionKind = "who" | "context" | "open";

/** What a criterion may look up in the document while it is read. */
export interface Names {
  readonly providers: readonly string[];
  /** The provider that a bare group name belongs to, if exactly one sends groups (P14). */
  readonly groupProvider: string | undefined;
  /** The values of a list, which counts as used from then on; undefined if there is none. */
  readonly list: (name: string) => readonly string[] | undefined;
  readonly listNames: readonly string[];
  /** Accounts for values that a list brings in; false when the document's budget is spent. */
  readonly spend: (values: number) => boolean;
}

/** Reports that the value (item `index` of it) cannot be used. */
export type Refuse = (code: string, message: string, fix?: string, at?: readonly (string | number)[]) => void;

export interface Criterion<N extends CriterionName = CriterionName> {
  readonly name: N;
  readonly kind: CriterionKind;
  readonly shape: Shape;
  /** A value that has the shape → the normalised value; undefined after `refuse` was called. */
  readonly read: (raw: unknown, names: Names, refuse: Refuse) => CriterionValues[N] | undefined;
  readonly reads: (value: CriterionValues[N]) => readonly FactName[];
  readonly compile: (value: CriterionValues[N]) => Test;
}

interface Definition<N extends CriterionName, S extends Shape> extends Omit<Criterion<N>, "shape" | "read"> {
  readonly shape: S;
  readonly read: (raw: v.InferOutput<S>, names: Names, refuse: Refuse) => CriterionValues[N] | undefined;
}

/** Ties `read` to the type of `shape`; the only cast, and document.ts calls `read` only after the shape was checked. */
export function defineCriterion<N extends CriterionName, S extends Shape>(definition: Definition<N, S>): Criterion<N> {
  return { ...definition, read: (raw, names, refuse) => definition.read(raw as v.InferOutput<S>, names, refuse) };
}

/**
 * Reads one value or a list, expanding "$name" from the document's lists (P16). `value` gives the
 * normalised text, or undefined after it called `refuse`.
 */
export function readList(
  raw: string | readonly string[],
  names: Names,
  refuse: Refuse,
  value: (written: string, refuse: Refuse) => string | undefined,
): readonly string[] {
  const out = new Set<string>();
  const written = typeof raw === "string" ? [raw] : raw;
  for (const [index, item] of written.entries()) {
    const at = typeof raw === "string" ? [] : [index];
    const here: Refuse = (code, message, fix, more = []) => refuse(code, message, fix, [...at, ...more]);
    if (!item.startsWith("$")) {
      const read = value(item, here);
      if (read !== undefined) out.add(read);
      continue;
    }
    const list = names.list(item.slice(1));
    if (list === undefined) {
      here("dangling", `no list "${item.slice(1)}"`, didYouMean(item.slice(1), names.listNames));
      continue;
    }
    if (!names.spend(list.length)) {
      here("too_large", "the lists of this document expand to too many values");
      return [];
    }
    for (const entry of list) {
      const read = value(entry, (code, message, fix) => here(code, `${message} (in ${item})`, fix));
      if (read !== undefined) out.add(read);
    }
  }
  return [...out].sort();
}

/** A fact stamped later than this after `now` is unknown: bounds what a wrong clock can claim. */
export const MAX_FUTURE_MS = 60_000;

/**
 * The fact if it counts now: present, not expired, not older than `maxAge` ms (P1). Leaves in
 * `input.changesAt` when that changes.
 */
export function factOf(input: Input, name: FactName, maxAge = Infinity): Fact | undefined {
  input.changesAt = Infinity;
  const known = input.facts.known;
  if (!Object.hasOwn(known, name)) return undefined;
  const fact = known[name];
  if (fact === undefined) return undefined;
  if (!(fact.observedAt - MAX_FUTURE_MS <= input.now)) {
    if (fact.observedAt > 0) input.changesAt = fact.observedAt - MAX_FUTURE_MS;
    return undefined;
  }
  // Older than max_age starts one millisecond after it.
  const end = Math.min(fact.expiresAt ?? Infinity, fact.observedAt + maxAge + 1);
  if (!(input.now < end)) return undefined;
  input.changesAt = end;
  return fact;
}

/** A fact that a criterion reads by the name it has for the app that is asked for. */
export const nameFor = (read: FactName, app: AppId): FactName => (read === GRANT ? grantFact(app) : read);

/** The fact's value if it is text, else undefined. */
export function textOf(input: Input, name: FactName): string | undefined {
  const value = factOf(input, name)?.value;
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** P13: user, email, group, mfa and session_age are unknown for a service, whatever facts came along. */
export function unknownForService(input: Input): boolean {
  input.changesAt = Infinity;
  return input.facts.subject.kind === "service";
}

/** True if the fact is one of the values, false if another, unknown if it is missing. */
export function isOneOf(name: FactName, values: ReadonlySet<string>, guard?: (input: Input) => boolean): Test {
  return (input) => {
    if (guard?.(input) === true) return "unknown";
    const text = textOf(input, name);
    return text === undefined ? "unknown" : values.has(text);
  };
}
