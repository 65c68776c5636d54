/** The whole raw document to the normalised one, section by section. Shapes were checked before. */
import type { AppId, PolicyId } from "../core/ids.ts";
import { DAY_MS, HOUR_MS } from "../core/time.ts";
import type { Names } from "./criterion.ts";
import type { DocumentTest, FriendlyFacts, PolicyDocument } from "./document.ts";
import { soleGroupProvider } from "./naming.ts";
import type { PathPart, Report } from "./problems.ts";
import { KEEP } from "./losses.ts";
import { checkLosses, readLosses } from "./read-losses.ts";
import { readApp, readProvider, readSite } from "./read-app.ts";
import { checkPolicy, readPolicy } from "./read-policy.ts";
import { checkScimTokens, readSignalSource } from "./read-signals.ts";
import type { ConditionNames, Extent } from "./read-when.ts";
import { findCycle, readWhen } from "./read-when.ts";
import { checkReferences, checkIssuers, checkUnique, checkUsed } from "./references.ts";
import type { RawDocument, RawTest } from "./schema.ts";
import { toList, toMs } from "./shapes.ts";
import { readFriendlyFacts } from "./tests-facts.ts";
import type { When } from "./when.ts";

/** Values that lists bring in, all uses together: bounds the document that objects keep. */
export const MAX_EXPANDED_VALUES = 20_000;

const SESSION_MAX_MS = DAY_MS;
const SESSION_IDLE_MS = 8 * HOUR_MS;

/** Builds the document; every way in which it is none is reported, and then the return value is of no use. */
export function readDocument(raw: RawDocument, lineOf: (path: readonly PathPart[]) => number | undefined, report: Report): PolicyDocument {
  const providers = (raw.identity?.providers ?? []).map((one, i) => readProvider(one, ["identity", "providers", i], report));
  checkUnique(providers, ["identity", "providers"], "providers", report);
  checkIssuers(providers, report);
  checkScimTokens(providers, report);
  const signals = (raw.signals ?? []).map((one, i) => readSignalSource(one, ["signals", i], providers, report));
  checkUnique(signals, ["signals"], "signals", report);
  const sites = (raw.sites ?? []).map((one, i) => readSite(one, ["sites", i], report));
  checkUnique(sites, ["sites"], "sites", report);
  const apps = (raw.apps ?? []).map((one, i) => readApp(one, ["apps", i], report));
  checkUnique(apps, ["apps"], "apps", report);

  const lists = readLists(raw.lists ?? {}, report);
  const usedLists = new Set<string>();
  const names = namesOf(providers, lists, usedLists);
  const rawConditions = raw.conditions ?? {};
  const conditionNames: ConditionNames = { known: new Set(Object.keys(rawConditions)), used: new Set() };
  const conditions: Record<string, When> = {};
  for (const [name, block] of Object.entries(rawConditions)) {
    conditions[name] = readWhen(block, ["conditions", name], names, conditionNames, report);
  }
  const whens = (raw.policies ?? []).map((one, i) => readWhen(one.when, ["policies", i, "when"], names, conditionNames, report));
  checkUsed(Object.keys(lists), usedLists, "lists", report);
  checkUsed(Object.keys(conditions), conditionNames.used, "conditions", report);

  const policies = (raw.policies ?? []).map((one, i) => readPolicy(one, whens[i] ?? {}));
  checkUnique(policies, ["policies"], "policies", report);
  const cycle = findCycle(rawConditions);
  if (cycle !== undefined) {
    const [first = ""] = cycle;
    report({ code: "cycle", message: `conditions use each other in a circle: ${cycle.join(" → ")}`, path: ["conditions", first], atKey: true });
  } else {
    const extents = new Map<When, Extent>();
    for (const [i, policy] of policies.entries()) {
      const rawPolicy = raw.policies?.[i];
      if (rawPolicy !== undefined) checkPolicy(rawPolicy, policy, ["policies", i], conditions, extents, report);
    }
  }
  const session = raw.defaults?.session;
  const passkeys = raw.identity?.passkeys;
  const document: PolicyDocument = {
    version: 1,
    domain: raw.domain,
    providers,
    ...(passkeys === undefined || passkeys === "after_sign_in" ? {} : { passkeys }),
    ...(signals.length === 0 ? {} : { signals }),
    sites,
    apps,
    policies,
    defaults: {
      session: {
        max: session?.max === undefined ? SESSION_MAX_MS : toMs(session.max),
        idle: session?.idle === undefined ? SESSION_IDLE_MS : toMs(session.idle),
      },
      onLoss: { identity: KEEP, audit: KEEP, control: KEEP, ...readLosses(raw.defaults) },
    },
    lists,
    conditions,
    tests: (raw.tests ?? []).map((one, i) => readTest(one, lineOf(["tests", i]))),
  };
  checkReferences(raw, document, report);
  checkLosses(document, report);
  checkTests(document, report);
  return document;
}

function readLists(raw: NonNullable<RawDocument["lists"]>, report: Report): Record<string, readonly string[]> {
  const lists: Record<string, readonly string[]> = {};
  for (const [name, written] of Object.entries(raw)) {
    const values = toList(written);
    for (const [i, value] of values.entries()) {
      const path = Array.isArray(written) ? ["lists", name, i] : ["lists", name];
      if (value.startsWith("$")) report({ code: "list", message: "a list holds values, not other lists", fix: "write the values", path });
    }
    lists[name] = [...values];
  }
  return lists;
}

function namesOf(
  providers: PolicyDocument["providers"],
  lists: { readonly [name: string]: readonly string[] },
  used: Set<string>,
): Names {
  let budget = MAX_EXPANDED_VALUES;
  return {
    providers: providers.map((provider) => provider.id),
    groupProvider: soleGroupProvider(providers),
    listNames: Object.keys(lists),
    list: (name) => {
      used.add(name);
      return Object.hasOwn(lists, name) ? lists[name] : undefined;
    },
    spend: (values) => (budget -= values) >= 0,
  };
}

function readTest(raw: RawTest, line: number | undefined): DocumentTest {
  const protocol = raw.request?.protocol ?? "http";
  return {
    as: raw.as as FriendlyFacts,
    app: raw.app as AppId,
    request: {
      protocol,
      method: protocol === "tcp" ? "" : (raw.request?.method ?? "GET"),
      path: protocol === "tcp" ? "" : (raw.request?.path ?? "/"),
    },
    ...(raw.at === undefined ? {} : { at: Date.parse(raw.at) }),
    expect: raw.expect,
    ...(raw.by === undefined ? {} : { by: raw.by as PolicyId }),
    ...(line === undefined ? {} : { line }),
  };
}

function checkTests(document: PolicyDocument, report: Report): void {
  for (const [i, test] of document.tests.entries()) {
    if (test.at !== undefined && Number.isNaN(test.at)) report({ code: "at", message: "no such instant", path: ["tests", i, "at"] });
    const facts = readFriendlyFacts(test.as, document.providers, test.at ?? 0);
    if (facts.ok) continue;
    for (const problem of facts.error) {
      report({ code: "facts", message: problem.message, fix: problem.fix, path: ["tests", i, "as", ...problem.path], atKey: problem.code === "unknown_key" });
    }
  }
}
