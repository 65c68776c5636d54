/**
 * A `when` block as a tree of tests: decide() runs its root, explain() walks it. Built once per
 * policy version; reusable conditions are built once and shared.
 */
import type { Criterion } from "./criterion.ts";
import type { FactName } from "./facts.ts";
import type { Test } from "./kleene.ts";
import { all, any, not } from "./kleene.ts";
import { CRITERIA, CRITERION_NAMES } from "./registry.ts";
import type { CriterionName, CriterionValues, When } from "./when.ts";

export interface Leaf {
  readonly kind: "criterion";
  /** Where it stands: `when.any[0].ip_range`, `conditions.strong.mfa`. */
  readonly path: string;
  readonly criterion: CriterionName;
  readonly reads: readonly FactName[];
  readonly test: Test;
}

export interface Branch {
  readonly kind: "all" | "any" | "not";
  readonly children: readonly Node[];
  readonly test: Test;
}

export type Node = Leaf | Branch;

/** Reusable conditions by name, each made when first used. */
export type ConditionNodes = (name: string) => Node;

const branch = (kind: "all" | "any", children: readonly Node[]): Branch => ({
  kind,
  children,
  test: (kind === "all" ? all : any)(children.map((child) => child.test)),
});

function leaf<N extends CriterionName>(name: N, when: When, path: string): Leaf | undefined {
  const value = when[name] as CriterionValues[N] | undefined;
  if (value === undefined) return undefined;
  const criterion: Criterion<N> = CRITERIA[name];
  return { kind: "criterion", path: `${path}.${name}`, criterion: name, reads: criterion.reads(value), test: criterion.compile(value) };
}

/** The tree of one block. An empty one would hold for everyone, so it is refused (P2). */
export function buildTree(when: When, path: string, conditions: ConditionNodes): Node {
  const children: Node[] = [];
  for (const name of CRITERION_NAMES) {
    const made = leaf(name, when, path);
    if (made !== undefined) children.push(made);
  }
  for (const kind of ["any", "all"] as const) {
    const blocks = when[kind];
    if (blocks !== undefined) children.push(branch(kind, blocks.map((block, i) => buildTree(block, `${path}.${kind}[${i}]`, conditions))));
  }
  if (when.not !== undefined) {
    const child = buildTree(when.not, `${path}.not`, conditions);
    children.push({ kind: "not", children: [child], test: not(child.test) });
  }
  if (when.use !== undefined) children.push(branch("any", when.use.map(conditions)));
  const [only] = children;
  if (only === undefined) throw new Error("a condition without criteria");
  return children.length === 1 ? only : branch("all", children);
}

/** A block's conditions in place, or an error for one that does not exist: a document that passed parseDocument has none. */
export function conditionNodes(conditions: { readonly [name: string]: When }): ConditionNodes {
  const made = new Map<string, Node>();
  const build: ConditionNodes = (name) => {
    const before = made.get(name);
    if (before !== undefined) return before;
    const when = Object.hasOwn(conditions, name) ? conditions[name] : undefined;
    if (when === undefined) throw new Error("a condition that does not exist");
    const node = buildTree(when, `conditions.${name}`, build);
    made.set(name, node);
    return node;
  };
  return build;
}

/** All criteria of a tree, in order. */
export function leavesOf(node: Node): Leaf[] {
  return node.kind === "criterion" ? [node] : node.children.flatMap(leavesOf);
}

/**
 * The tree with everything but who-criteria taken out ("Explained or blank"); undefined when it
 * names nobody.
 */
export function whoTest(node: Node): Test | undefined {
  if (node.kind === "criterion") return CRITERIA[node.criterion].kind === "who" ? node.test : undefined;
  const tests = node.children.map(whoTest).filter((test): test is Test => test !== undefined);
  const [first] = tests;
  if (first === undefined) return undefined;
  return node.kind === "not" ? not(first) : node.kind === "any" ? any(tests) : all(tests);
}
