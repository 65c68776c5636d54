/**
 * What the parts of a document say of each other: ids that are unique, names that exist, hosts
 * that do not collide, reusable parts that are used. Works on the normalised document.
 */
import { ADMIN_APP } from "../core/ids.ts";
import type { App, Policy, PolicyDocument } from "./document.ts";
import { hostOf } from "./naming.ts";
import type { PathPart, Report } from "./problems.ts";
import { reaches } from "./reach.ts";
import type { RawDocument, RawPolicy } from "./schema.ts";
import { toList } from "./shapes.ts";
import { didYouMean } from "./suggest.ts";

/** Reports every id that stands twice in a list. */
export function checkUnique(items: readonly { readonly id: string }[], path: readonly PathPart[], what: string, report: Report): void {
  const seen = new Set<string>();
  for (const [i, { id }] of items.entries()) {
    if (seen.has(id)) report({ code: "duplicate_id", message: `two ${what} have the id "${id}"`, fix: "rename one of them", path: [...path, i, "id"] });
    seen.add(id);
  }
}

/** Reports an issuer that stands twice: its people would be one person under two sets of rules (class E). */
export function checkIssuers(providers: readonly { readonly issuer: string }[], report: Report): void {
  for (const [i, { issuer }] of providers.entries()) {
    const first = providers.findIndex((one) => one.issuer === issuer);
    if (first < i) report({ code: "duplicate_issuer", message: `two providers have the issuer ${issuer}`, fix: "keep one of them", path: ["identity", "providers", i, "issuer"] });
  }
}

/** Reports lists and conditions that nothing uses (P16). */
export function checkUsed(names: readonly string[], used: ReadonlySet<string>, section: "lists" | "conditions", report: Report): void {
  for (const name of names) {
    if (used.has(name)) continue;
    const one = section === "lists" ? "list" : "condition";
    report({ code: "unused", message: `nothing uses the ${one} "${name}"`, fix: "remove it", path: [section, name], atKey: true });
  }
}

/** Everything else that joins apps, sites, policies and tests. */
export function checkReferences(raw: RawDocument, document: PolicyDocument, report: Report): void {
  checkApps(document, report);
  const appIds = new Set<string>(document.apps.map((app) => app.id));
  const tags = new Set(document.apps.flatMap((app) => app.tags));
  for (const [i, policy] of document.policies.entries()) {
    const rawPolicy = raw.policies?.[i];
    if (rawPolicy === undefined) continue;
    checkSelectors(rawPolicy, ["policies", i], appIds, tags, report);
    if (policy.http !== undefined) checkNarrowing(policy, ["policies", i], document.apps, report);
  }
  const policyIds = new Set<string>(document.policies.map((policy) => policy.id));
  for (const [i, test] of document.tests.entries()) {
    if (!appIds.has(test.app) && test.app !== ADMIN_APP) {
      report({ code: "dangling", message: `no app "${test.app}"`, fix: didYouMean(test.app, appIds), path: ["tests", i, "app"] });
    }
    if (test.by !== undefined && !policyIds.has(test.by)) {
      report({ code: "dangling", message: `no policy "${test.by}"`, fix: didYouMean(test.by, policyIds), path: ["tests", i, "by"] });
    }
  }
}

function checkApps(document: PolicyDocument, report: Report): void {
  const siteIds = new Set<string>(document.sites.map((site) => site.id));
  const hosts = new Map<string, App>();
  for (const [i, app] of document.apps.entries()) {
    const path = ["apps", i] as const;
    if (!siteIds.has(app.site)) {
      report({ code: "dangling", message: `no site "${app.site}"`, fix: didYouMean(app.site, siteIds), path: [...path, "site"] });
    }
    if (app.id.startsWith("postern")) {
      report({ code: "reserved", message: `ids that begin with "postern" are Postern's own`, fix: "choose another id", path: [...path, "id"] });
    }
    if (app.hostname === undefined && app.id.includes(".")) continue;
    const host = hostOf(app, document);
    const at = [...path, app.hostname === undefined ? "id" : "hostname"];
    if (host === document.domain) {
      report({ code: "host_conflict", message: `"${host}" is the launcher's own host`, fix: "choose another hostname", path: at });
    }
    const other = hosts.get(host);
    if (other !== undefined && other.id !== app.id) {
      report({ code: "host_conflict", message: `"${host}" is the host of app "${other.id}" already`, fix: "choose another hostname", path: at });
    }
    hosts.set(host, app);
  }
}

function checkSelectors(raw: RawPolicy, path: readonly PathPart[], appIds: ReadonlySet<string>, tags: ReadonlySet<string>, report: Report): void {
  for (const key of ["apps", "except"] as const) {
    const written = raw[key];
    if (written === undefined) continue;
    for (const [i, selector] of toList(written).entries()) {
      const at = Array.isArray(written) ? [...path, key, i] : [...path, key];
      if (selector === "*") {
        if (key === "except") report({ code: "except", message: 'except "*" leaves no app', path: at });
      } else if (selector.startsWith("tag:")) {
        const tag = selector.slice(4);
        const near = didYouMean(tag, tags)?.replace('"', '"tag:');
        if (!tags.has(tag)) report({ code: "dangling", message: `no app has the tag "${tag}"`, fix: near, path: at });
      } else if (selector !== ADMIN_APP && !appIds.has(selector)) {
        const fix = didYouMean(selector, [...appIds, ADMIN_APP]) ?? (tags.has(selector) ? `did you mean "tag:${selector}"?` : undefined);
        report({ code: "dangling", message: `no app "${selector}"`, fix, path: at });
      }
    }
  }
}

/** P10: http never applies to tcp apps (one warning a policy). P24: paths mean nothing where the app relaxes canonicalisation. */
function checkNarrowing(policy: Policy, path: readonly PathPart[], apps: readonly App[], report: Report): void {
  for (const app of apps) {
    if (app.protocol === "http" && app.insecurePaths.length === 0) continue;
    if (!reaches(policy, app)) continue;
    if (app.protocol === "tcp") {
      const named = policy.apps.includes(app.id);
      report({
        code: "tcp_http",
        message: `"http" never applies to the tcp app "${app.id}"`,
        fix: named ? "remove http, or the app" : `write except: [${app.id}] if that is meant`,
        path: [...path, "http"],
        atKey: true,
        warning: !named,
      });
      if (!named) return;
    } else if (policy.http?.paths !== undefined) {
      report({
        code: "insecure_paths",
        message: `paths cannot be relied on for app "${app.id}", which has insecure_paths`,
        fix: `remove insecure_paths from the app, or write except: [${app.id}]`,
        path: [...path, "http", "paths"],
      });
    }
  }
}
