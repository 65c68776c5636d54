/**
 * A document made ready to decide: closures, found by app and by subject. What it holds is not for
 * storing: keep the document and compile again.
 */
import type { AppId, PolicyId } from "../core/ids.ts";
import { ADMIN_APP } from "../core/ids.ts";
import type { Index } from "./candidates.ts";
import { makeIndex } from "./candidates.ts";
import type { App, Policy, PolicyDocument } from "./document.ts";
import { hostOf } from "./naming.ts";
import type { Entry, Target } from "./entry.ts";
import { boundOf, KEEP, type LossBound, type LossPart } from "./losses.ts";
import { makeEntry } from "./entry.ts";
import { reaches } from "./reach.ts";
import type { FactName } from "./facts.ts";
import { conditionNodes, leavesOf } from "./tree.ts";

/** Everything that a decision about one app looks at. */
export interface Plan extends Target {
  readonly app: AppId;
  readonly visible: boolean;
  /** Some allow is for anybody (P20): without one, nobody in particular may do nothing here. */
  readonly open: boolean;
  /** Some policy looks at a grant: there is something to ask for. */
  readonly grantable: boolean;
  /** Facts of the app itself that some policy about it looks at; they are asked for only then. */
  readonly readsTarget: readonly FactName[];
  readonly denies: Index;
  readonly allows: Index;
  readonly limits: Index;
  /** P19: the app's and the defaults', strictest; ms. */
  readonly sessionMax: number;
  readonly sessionIdle: number;
  readonly onLoss: { readonly [part in LossPart]: LossBound };
}

export interface CompiledPolicy {
  readonly document: PolicyDocument;
  readonly version: number;
  readonly app: (id: string) => App | undefined;
  /** By host, any case, with or without port. */
  readonly appByHost: (host: string) => App | undefined;
  /** How many policies are about an app; undefined: no such app. */
  readonly candidates: (id: string) => number | undefined;
  /** For decide() and its siblings. Also for postern:admin, which is no app of the document. */
  readonly plan: (id: string) => Plan | undefined;
}

/** The name under which `postern setup` acts; no document can name it. */
export const SETUP_SERVICE = "postern:setup";

/** Lets the short-lived grant of `postern setup` administer; a deny in the document beats it. */
const SETUP_POLICY: Policy = {
  id: "postern:setup" as PolicyId,
  effect: "allow",
  apps: [ADMIN_APP],
  except: [],
  when: { service: [SETUP_SERVICE] },
  limits: { role: "operator" },
};

/** Compiles a document that parseDocument accepted; throws on one that it would have refused. */
export function compile(document: PolicyDocument, version: number): CompiledPolicy {
  const conditions = conditionNodes(document.conditions);
  const policies = [...document.policies, SETUP_POLICY];
  const entries = policies.map((policy) => ({ policy, entry: makeEntry(policy, document, conditions) }));
  const apps = new Map<string, App>(document.apps.map((app) => [app.id, app]));
  const hosts = new Map<string, App>(document.apps.map((app) => [hostOf(app, document), app]));
  const plans = new Map<string, Plan>();

  const makePlan = (id: AppId, app: App | undefined): Plan => {
    const selected = { id, tags: app?.tags ?? [] };
    const about = entries.filter(({ policy }) => reaches(policy, selected)).map(({ entry }) => entry);
    const of = (effect: Entry["effect"]): Index => makeIndex(about.filter((entry) => entry.effect === effect));
    const { session, onLoss } = document.defaults;
    const lossBound = (part: LossPart): LossBound => boundOf(part, [onLoss?.[part] ?? KEEP, app?.onLoss?.[part] ?? KEEP]);
    const allows = about.filter((entry) => entry.effect === "allow");
    return {
      app: id,
      open: allows.some((entry) => entry.covers.anonymous),
      visible: app?.visible ?? false,
      readsTarget: [...new Set(about.flatMap(({ node }) => leavesOf(node).flatMap(({ criterion, reads }) => (criterion === "target" ? reads : []))))],
      grantable: about.some(({ node }) => leavesOf(node).some(({ criterion }) => criterion === "grant")),
      tcp: app?.protocol === "tcp",
      insensitive: app?.pathCase === "insensitive",
      denies: of("deny"),
      allows: makeIndex(allows),
      limits: of("limit"),
      sessionMax: Math.min(session.max, app?.session?.max ?? Infinity),
      sessionIdle: Math.min(session.idle, app?.session?.idle ?? Infinity),
      onLoss: { identity: lossBound("identity"), audit: lossBound("audit"), control: lossBound("control") },
    };
  };

  const plan = (id: string): Plan | undefined => {
    const before = plans.get(id);
    if (before !== undefined) return before;
    const app = apps.get(id);
    if (app === undefined && id !== ADMIN_APP) return undefined;
    const made = makePlan(app?.id ?? ADMIN_APP, app);
    plans.set(id, made);
    return made;
  };

  return {
    document,
    version,
    app: (id) => apps.get(id),
    appByHost: (host) => hosts.get(host.toLowerCase().replace(/:[0-9]*$/, "")),
    candidates: (id) => {
      const found = plan(id);
      return found === undefined ? undefined : found.denies.all.length + found.allows.all.length + found.limits.all.length;
    },
    plan,
  };
}
