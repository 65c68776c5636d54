/** Raw policies to normalised ones, and the rules that one policy must keep by itself. */
import type { AppId, PolicyId } from "../core/ids.ts";
import { ADMIN_APP } from "../core/ids.ts";
import type { Policy, PolicyLimits } from "./document.ts";
import { parsePattern } from "./paths.ts";
import type { PathPart, Report } from "./problems.ts";
import { parseBytes } from "./quantity.ts";
import type { Conditions, Extent } from "./read-when.ts";
import { demands, extentOf, MAX_WHEN_CRITERIA } from "./read-when.ts";
import type { RawPolicy } from "./schema.ts";
import { MAX_WHEN_DEPTH } from "./schema.ts";
import { toList, toMs } from "./shapes.ts";
import type { When } from "./when.ts";

function readLimits(raw: NonNullable<RawPolicy["limits"]>): PolicyLimits {
  return {
    ...(raw.session === undefined ? {} : { session: toMs(raw.session) }),
    ...(raw.idle === undefined ? {} : { idle: toMs(raw.idle) }),
    ...(raw.max_bytes === undefined ? {} : { maxBytes: parseBytes(raw.max_bytes) ?? 1 }),
    ...(raw.read_only === undefined ? {} : { readOnly: raw.read_only }),
    ...(raw.role === undefined ? {} : { role: raw.role }),
  };
}

/** One policy; `when` was read already. */
export function readPolicy(raw: RawPolicy, when: When): Policy {
  const { http } = raw;
  return {
    id: raw.id as PolicyId,
    effect: raw.effect,
    apps: [...new Set(toList(raw.apps))].sort(),
    except: raw.except === undefined ? [] : [...new Set(toList(raw.except))].sort(),
    ...(raw.subject === undefined ? {} : { subject: [...new Set(toList(raw.subject))].sort() }),
    when,
    ...(http === undefined
      ? {}
      : {
          http: {
            ...(http.methods === undefined ? {} : { methods: [...new Set(toList(http.methods))].sort() }),
            ...(http.paths === undefined ? {} : { paths: [...new Set(toList(http.paths))].sort() }),
          },
        }),
    ...(raw.limits === undefined ? {} : { limits: readLimits(raw.limits) }),
  };
}

/** Reports what a policy may not be, beyond its shape and its references. */
export function checkPolicy(
  raw: RawPolicy,
  policy: Policy,
  path: readonly PathPart[],
  conditions: Conditions,
  extents: Map<When, Extent>,
  report: Report,
): void {
  const extent = extentOf(policy.when, conditions, extents);
  if (extent.depth > MAX_WHEN_DEPTH) report({ code: "too_deep", message: `conditions nest deeper than ${MAX_WHEN_DEPTH}`, path: [...path, "when"] });
  if (extent.criteria > MAX_WHEN_CRITERIA) {
    report({ code: "too_large", message: `more than ${MAX_WHEN_CRITERIA} criteria in one policy`, path: [...path, "when"] });
  }
  for (const [i, pattern] of (raw.http?.paths === undefined ? [] : toList(raw.http.paths)).entries()) {
    const parsed = parsePattern(pattern);
    const at = Array.isArray(raw.http?.paths) ? [...path, "http", "paths", i] : [...path, "http", "paths"];
    if (typeof parsed === "string") report({ code: "path", message: parsed, path: at });
  }
  if (policy.http !== undefined && policy.http.methods === undefined && policy.http.paths === undefined) {
    report({ code: "empty", message: "http narrows nothing", fix: "name methods or paths, or leave it out", path: [...path, "http"] });
  }
  checkEffect(policy, path, conditions, report);
  checkLimits(policy, path, report);
}

function checkEffect(policy: Policy, path: readonly PathPart[], conditions: Conditions, report: Report): void {
  if (policy.effect !== "allow") return;
  const open = demands(policy.when, "anyone", conditions);
  if (open && policy.http?.paths === undefined) {
    report({
      code: "public",
      message: "an allow for anyone needs http.paths",
      fix: 'name the public paths, for example http: { paths: ["/public/**"] }',
      path: [...path, "when"],
    });
  }
  if (policy.subject?.includes("service") === true && !demands(policy.when, "service", conditions)) {
    report({
      code: "service",
      message: "an allow covers services only if it names them",
      fix: "add a service criterion or leave service out of subject",
      path: [...path, "subject"],
    });
  }
}

function checkLimits(policy: Policy, path: readonly PathPart[], report: Report): void {
  const limits = policy.limits;
  if (policy.effect === "deny" && limits !== undefined) {
    report({ code: "limits", message: "a deny has no limits", fix: "write effect: limit", path: [...path, "limits"], atKey: true });
  }
  if (policy.effect === "limit" && Object.keys(limits ?? {}).length === 0) {
    report({ code: "limits", message: "a limit policy limits nothing", fix: "write for example limits: { read_only: true }", path });
  }
  if (limits?.role !== undefined && !policy.apps.includes(ADMIN_APP as AppId)) {
    report({ code: "role", message: `a role means something for ${ADMIN_APP} only`, fix: `apps: ["${ADMIN_APP}"]`, path: [...path, "limits", "role"] });
  }
}
