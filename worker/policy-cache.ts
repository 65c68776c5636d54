/**
 * The compiled policy of this isolate: a cache, never an authority. A lane decides again with the
 * newest version; a denial is confirmed at control before it is shown (M7).
 */
import { compile, type CompiledPolicy } from "../policy/compile.ts";
import { CONTROL_NAME } from "../durable-objects/bindings.ts";
import { ASK_ATTEMPT_MS, LEASE_WAIT_MS } from "../durable-objects/lease-terms.ts";
import { within } from "../durable-objects/within.ts";
import type { Env } from "./env.ts";

/** How old a cached policy may be before control is asked whether there is a newer one. */
export const POLICY_CACHE_MS = 10_000;

interface Cached {
  readonly policy: CompiledPolicy;
  readonly at: number;
}

/** Keyed by the namespace: two deployments in one process (tests) never share a policy. */
const cache = new WeakMap<object, Cached>();

/**
 * The policy, at most POLICY_CACHE_MS old; undefined when nothing is live. While control cannot be asked what is known
 * serves as long as anybody trusts what it was told: what then goes on is for the lanes to say (P19). Throws after that.
 */
export async function currentPolicy(env: Env, now: number): Promise<CompiledPolicy | undefined> {
  const cached = cache.get(env.CONTROL);
  if (cached === undefined || now - cached.at >= LEASE_WAIT_MS) return newestPolicy(env, now);
  return now - cached.at < POLICY_CACHE_MS ? cached.policy : ((await within(ASK_ATTEMPT_MS, newestPolicy(env, now))) ?? cached.policy);
}

/** The policy as control knows it now. */
export async function newestPolicy(env: Env, now: number): Promise<CompiledPolicy | undefined> {
  const cached = cache.get(env.CONTROL);
  const newer = await env.CONTROL.getByName(CONTROL_NAME).policy(cached?.policy.version);
  const before = cache.get(env.CONTROL);
  const policy = newer === undefined ? before?.policy : compile(newer.document, newer.version);
  if (policy === undefined) return undefined;
  // Another request of this isolate may have brought a newer one meanwhile.
  const newest = before !== undefined && before.policy.version > policy.version ? before.policy : policy;
  cache.set(env.CONTROL, { policy: newest, at: now });
  return newest;
}
