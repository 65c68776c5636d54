/** What the break-glass account could open, were its seal broken at `now`: nothing but its service is known of it. */
import { ADMIN_APP, type AppId, BREAK_GLASS_SERVICE } from "../core/ids.ts";
import type { Millis } from "../core/time.ts";
import type { CompiledPolicy } from "./compile.ts";
import { decide } from "./decide.ts";
import type { Facts } from "./facts.ts";
import { witness } from "./visible.ts";

/** postern:admin first, then apps in the document's order. */
export function breakGlassOpens(policy: CompiledPolicy, now: Millis): readonly AppId[] {
  const facts: Facts = { subject: { kind: "service", id: BREAK_GLASS_SERVICE }, known: { service: { value: BREAK_GLASS_SERVICE, source: "postern", observedAt: now } } };
  return [ADMIN_APP, ...policy.document.apps.map((app) => app.id)].filter((id) => {
    const plan = policy.plan(id);
    const ask = plan === undefined ? undefined : witness(policy, plan, facts, now);
    // A service cannot step up.
    return ask !== undefined && decide(policy, ask, facts, now).effect === "allow";
  });
}
