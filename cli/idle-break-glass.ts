/** The warning that a document names the break-glass account and yet lets it open nothing: that is found out while there is time. */
import { BREAK_GLASS_SERVICE } from "../core/ids.ts";
import { at, DAY_MS, HOUR_MS, type Millis } from "../core/time.ts";
import { breakGlassOpens } from "../policy/break-glass-reach.ts";
import type { CompiledPolicy } from "../policy/compile.ts";
import type { PolicyDocument } from "../policy/document.ts";
import type { Problem } from "../policy/problems.ts";

/** Undefined if no allow names the account, or it opens something at some hour of the coming week. */
export function idleBreakGlass(document: PolicyDocument, policy: CompiledPolicy, now: Millis, file: string): Problem | undefined {
  const named = (value: unknown): boolean => JSON.stringify(value).includes(`"${BREAK_GLASS_SERVICE}"`);
  const index = document.policies.findIndex(({ effect, when }) => effect === "allow" && (named(when) || (when.use ?? []).some((name) => named(document.conditions[name] ?? {}))));
  if (index === -1) return undefined;
  for (let ahead = 0; ahead < 7 * DAY_MS; ahead += HOUR_MS) {
    if (breakGlassOpens(policy, at(now + ahead)).length > 0) return undefined;
  }
  return {
    code: "break_glass",
    message: "the break-glass account could open nothing, at no hour of the coming week: it has its service and no other fact",
    fix: `leave only service: [${BREAK_GLASS_SERVICE}] in its policy, and see that no deny is about it`,
    file,
    path: `policies[${index}].when`,
  };
}
