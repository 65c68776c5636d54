/**
 * The compiled policy of this isolate: a cache, never an authority. A lane decides again with the
 * newest version; a denial is confirmed at control before it is shown (M7).
 */
import { compile, type CompiledPolicy } from "../policy/compile.ts";
import { CONTROL_NAME } from "../durable-objects/bindings.ts";
import type { Env } from "./env.ts";

/** How old a cached policy may be before control is asked whether there is a newer one. */
export const POLICY_CACHE_MS = 10_000;

interface Cached {
  readonly policy: CompiledPolicy;
  readonly at: number;
}

/** Keyed by the namespace: two deployments in one process (tests) never share a policy. */
const cache = new WeakMap<object, Cached>();

/** The policy, at most POLICY_CACHE_MS old; undefined when nothing is live. Throws when control cannot be asked. */
export async function currentPolicy(env: Env, now: number): Promise<CompiledPolicy | undefined> {
  const cached = cache.get(env.CONTROL);
  return cached !== undefined && now - cached.at < POLICY_CACHE_MS ? cached.policy : newestPolicy(env, now);
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
