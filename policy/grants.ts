/**
 * Who may ask for a grant, and be given one: exactly those for whom decide() would open the app, or
 * open it after a step-up, if they had one, and does neither without (P28).
 */
import { at, type Millis } from "../core/time.ts";
import { decide } from "./decide.ts";
import type { Ask, Facts } from "./facts.ts";
import { grantFact } from "./facts.ts";

/** `lasting`: of that length; a policy may say that it counts for less (`max`). */
export function mayAsk(policy: Parameters<typeof decide>[0], ask: Ask, facts: Facts, now: Millis, lasting = 0): boolean {
  const name = grantFact(ask.app);
  const { [name]: _held, ...known } = facts.known;
  const hoped = { value: "", source: "operator:", observedAt: at(now - lasting), expiresAt: at(now + 1) };
  const opens = (those: Facts["known"]): boolean => decide(policy, ask, { ...facts, known: those }, now).effect !== "deny";
  return facts.subject.kind === "user" && policy.plan(ask.app)?.grantable === true && opens({ ...known, [name]: hoped }) && !opens(known);
}
