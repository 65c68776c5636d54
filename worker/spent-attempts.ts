/**
 * Sign-in attempts that this isolate has taken to a provider: one attempt buys one request to its
 * token endpoint, however often a client sends the same cookie. A bound on strangers, not a proof
 * of single use: the provider's code and the browser's own cookie are that.
 */
const MAX_SPENT_COUNT = 10_000;

const spent = new WeakMap<object, Set<string>>();

/** False when the attempt was spent here before. `deployment` keeps two of them in one process apart. */
export function spendAttempt(deployment: object, state: string): boolean {
  let states = spent.get(deployment);
  if (states === undefined) spent.set(deployment, (states = new Set()));
  if (states.has(state)) return false;
  const oldest = states.values().next().value;
  if (states.size >= MAX_SPENT_COUNT && oldest !== undefined) states.delete(oldest);
  states.add(state);
  return true;
}
