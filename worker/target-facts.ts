/**
 * What connectors say of an app, from the lane that its request would go to, and only where a
 * policy looks at it. A cache for deciding early, as that of sessions is: the lane decides by what
 * it knows then.
 */
import type { AppId } from "../core/ids.ts";
import { at } from "../core/time.ts";
import type { SessionSnapshot } from "../durable-objects/session/rpc.ts";
import { bucket, laneName } from "../durable-objects/bindings.ts";
import type { CompiledPolicy } from "../policy/compile.ts";
import { mightAllow } from "../policy/decide.ts";
import type { App } from "../policy/document.ts";
import type { Facts } from "../policy/facts.ts";
import { addressOf } from "./connection-facts.ts";
import type { Exchange } from "./exchange.ts";

/** How long a lane's word is believed here. */
const TARGET_CACHE_MS = 2_000;
/** Bounds memory per isolate; all of it goes at once. */
const MAX_CACHED_COUNT = 1_000;

const caches = new WeakMap<object, Map<string, { readonly facts: Facts["known"]; readonly until: number }>>();

/** The lane that carries somebody's requests for an app. */
export function laneFor(x: Exchange, policy: CompiledPolicy, app: App, session: Pick<SessionSnapshot, "sid"> | undefined): number {
  return bucket(session?.sid ?? addressOf(x.connection), policy.document.sites.find((site) => site.id === app.site)?.lanes ?? 1);
}

/** The facts, and those of the app where they can matter: not for whom no allow means, who must not learn by the time it takes that there is such an app. `fresh` asks the lane anew. */
export async function withTarget(x: Exchange, policy: CompiledPolicy, app: App | undefined, session: Pick<SessionSnapshot, "sid"> | undefined, facts: Facts, fresh = false): Promise<Facts> {
  const plan = app === undefined ? undefined : policy.plan(app.id);
  if (app === undefined || plan === undefined || plan.readsTarget.length === 0 || !mightAllow(plan, facts, at(x.now))) return facts;
  const lane = laneName(app.site, laneFor(x, policy, app, session));
  const target = await targetFacts(x, lane, app.id, fresh);
  return { ...facts, known: { ...facts.known, ...target } };
}

/** Nothing is known of an app whose lane does not answer. */
async function targetFacts({ env, now }: Exchange, lane: string, app: AppId, fresh: boolean): Promise<Facts["known"]> {
  let cache = caches.get(env.TUNNEL);
  if (cache === undefined) caches.set(env.TUNNEL, (cache = new Map()));
  const key = `${lane}\n${app}`;
  const cached = cache.get(key);
  if (!fresh && cached !== undefined && now < cached.until) return cached.facts;
  const facts = await env.TUNNEL.getByName(lane).targetFacts(app).catch(() => ({}));
  if (cache.size >= MAX_CACHED_COUNT) cache.clear();
  cache.set(key, { facts, until: now + TARGET_CACHE_MS });
  return facts;
}
