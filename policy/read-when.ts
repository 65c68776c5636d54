/**
 * Raw `when` blocks to normalised ones, and what holds of a block with its reusable conditions
 * put in place: how deep, how large, which criteria. Not evaluation: compile.ts.
 */
import type { Names, Refuse } from "./criterion.ts";
import type { PathPart, Report } from "./problems.ts";
import { CRITERIA, CRITERION_NAMES } from "./registry.ts";
import type { RawWhen } from "./schema.ts";
import { MAX_WHEN_DEPTH } from "./schema.ts";
import { toList } from "./shapes.ts";
import { didYouMean } from "./suggest.ts";
import type { CriterionName, When } from "./when.ts";

/** Criteria of one policy with conditions put in place: bounds one decision. */
export const MAX_WHEN_CRITERIA = 1_000;

export type Conditions = { readonly [name: string]: When };

/** Where `use` may point, and a note of what was used. */
export interface ConditionNames {
  readonly known: ReadonlySet<string>;
  readonly used: Set<string>;
}

/** Reads a block whose shape was checked. Reports what its values name wrongly. */
export function readWhen(raw: RawWhen, path: readonly PathPart[], names: Names, conditions: ConditionNames, report: Report, depth = 1): When {
  const when: Record<string, unknown> = {};
  if (depth > MAX_WHEN_DEPTH) {
    report({ code: "too_deep", message: `conditions nest deeper than ${MAX_WHEN_DEPTH}`, path });
    return when;
  }
  if (Object.keys(raw).length === 0) {
    report({ code: "empty_when", message: "an empty condition would hold for everyone", fix: "write anyone: true if that is meant", path });
  }
  for (const name of CRITERION_NAMES) {
    const value = raw[name];
    if (value === undefined) continue;
    const refuse: Refuse = (code, message, fix, at = []) => report({ code, message, fix, path: [...path, name, ...at] });
    const read = CRITERIA[name].read(value, names, refuse);
    if (read !== undefined) when[name] = read;
  }
  for (const key of ["any", "all"] as const) {
    const blocks = raw[key] as readonly RawWhen[] | undefined;
    if (blocks !== undefined) when[key] = blocks.map((block, i) => readWhen(block, [...path, key, i], names, conditions, report, depth + 1));
  }
  if (raw["not"] !== undefined) when["not"] = readWhen(raw["not"] as RawWhen, [...path, "not"], names, conditions, report, depth + 1);
  if (raw["use"] !== undefined) {
    const used = [...new Set(toList(raw["use"] as string | readonly string[]))];
    for (const [i, name] of used.entries()) {
      conditions.used.add(name);
      if (conditions.known.has(name)) continue;
      const at = typeof raw["use"] === "string" ? [] : [i];
      report({ code: "dangling", message: `no condition "${name}"`, fix: didYouMean(name, conditions.known), path: [...path, "use", ...at] });
    }
    when["use"] = used.sort();
  }
  return when;
}

/** Blocks directly inside a block, with the ones it uses. */
function children(when: When, conditions: Conditions): { block: When; negated: boolean }[] {
  const inner = [...(when.any ?? []), ...(when.all ?? [])].map((block) => ({ block, negated: false }));
  if (when.not !== undefined) inner.push({ block: when.not, negated: true });
  for (const name of when.use ?? []) {
    const block = Object.hasOwn(conditions, name) ? conditions[name] : undefined;
    if (block !== undefined) inner.push({ block, negated: false });
  }
  return inner;
}

export interface Extent {
  readonly depth: number;
  readonly criteria: number;
}

/** Depth and number of criteria of a block with its conditions in place. Conditions must have no cycle. */
export function extentOf(when: When, conditions: Conditions, known: Map<When, Extent>): Extent {
  const before = known.get(when);
  if (before !== undefined) return before;
  const own = CRITERION_NAMES.filter((name) => when[name] !== undefined).length;
  const inner = children(when, conditions).map(({ block }) => extentOf(block, conditions, known));
  const extent = {
    depth: 1 + Math.max(0, ...inner.map((one) => one.depth)),
    criteria: inner.reduce((sum, one) => sum + one.criteria, own),
  };
  known.set(when, extent);
  return extent;
}

/** Whether a criterion occurs where its being true can make the block true: not under an odd number of `not`. */
export function demands(when: When, criterion: CriterionName, conditions: Conditions, negated = false): boolean {
  if (!negated && when[criterion] !== undefined) return true;
  return children(when, conditions).some((inner) => demands(inner.block, criterion, conditions, inner.negated !== negated));
}

/** A cycle among conditions as the names on it, first repeated last; undefined if there is none. */
export function findCycle(raw: { readonly [name: string]: RawWhen }): readonly string[] | undefined {
  const state = new Map<string, "open" | "done">();
  const trail: string[] = [];
  const visit = (name: string): readonly string[] | undefined => {
    if (state.get(name) === "done") return undefined;
    if (state.get(name) === "open") return [...trail.slice(trail.indexOf(name)), name];
    const block = Object.hasOwn(raw, name) ? raw[name] : undefined;
    if (block === undefined) return undefined;
    state.set(name, "open");
    trail.push(name);
    for (const used of usesOf(block)) {
      const cycle = visit(used);
      if (cycle !== undefined) return cycle;
    }
    trail.pop();
    state.set(name, "done");
    return undefined;
  };
  for (const name of Object.keys(raw)) {
    const cycle = visit(name);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

function usesOf(raw: RawWhen): readonly string[] {
  const inner = [...((raw["any"] ?? []) as RawWhen[]), ...((raw["all"] ?? []) as RawWhen[])];
  if (raw["not"] !== undefined) inner.push(raw["not"] as RawWhen);
  const own = raw["use"] === undefined ? [] : toList(raw["use"] as string | readonly string[]);
  return [...own, ...inner.flatMap(usesOf)];
}
