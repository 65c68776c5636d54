/**
 * Which apps the launcher shows: those for which decide() lets some request of this subject pass,
 * or asks for a step-up. An app is tried with a few witness requests, so what is shown can be
 * opened; an app whose allow has no http narrowing, and that no deny narrowed by paths shuts, is
 * never missed. Not a permission: opening it decides again.
 */
import type { Millis } from "../core/time.ts";
import type { CompiledPolicy, Plan } from "./compile.ts";
import { decide, isExplained } from "./decide.ts";
import type { App } from "./document.ts";
import type { Entry } from "./entry.ts";
import type { Ask, Facts } from "./facts.ts";
import { mayAsk } from "./grants.ts";
import { parsePattern, samplePath } from "./paths.ts";

/** Witness requests of one app: bounds the launcher's work. */
const MAX_WITNESSES = 200;
/** A path that patterns of an operator hardly name. */
const ELSEWHERE = ["/~", "/~/~", "/~/~/~/~/~/~/~/~"];
/** A method that policies hardly name: escapes denies that name some. */
const OTHER_METHODS = ["POST", "OPTIONS", "QUERY"];

/** What an app is to somebody: open, open after a step-up, or to be asked for; undefined: nothing that they are shown. */
export function standingAt(policy: CompiledPolicy, app: App, facts: Facts, now: Millis): "allow" | "step_up" | "askable" | undefined {
  const plan = policy.plan(app.id);
  if (plan === undefined) return undefined;
  const ask = witness(policy, plan, facts, now);
  if (ask === undefined) return isAskable(policy, plan, facts, now) ? "askable" : undefined;
  return decide(policy, ask, facts, now).effect === "step_up" ? "step_up" : "allow";
}

/** A request that decide() would let pass or answer with step-up; undefined if none was found. */
export function witness(policy: CompiledPolicy, plan: Plan, facts: Facts, now: Millis): Ask | undefined {
  for (const ask of asksOf(plan)) {
    if (decide(policy, ask, facts, now).effect !== "deny") return ask;
  }
  return undefined;
}

/** Whether there is a request for which somebody may ask for a grant of this length (P28). */
export function isAskable(policy: CompiledPolicy, plan: Plan, facts: Facts, now: Millis, lasting = 0): boolean {
  // Whom a grant would let in is explained what is missing already: it takes nobody's name.
  if (plan.grantable && isExplained(plan, facts, now)) for (const ask of asksOf(plan)) if (mayAsk(policy, ask, facts, now, lasting)) return true;
  return false;
}

function* asksOf(plan: Plan): Generator<Ask> {
  if (plan.tcp) return yield { app: plan.app, protocol: "tcp", method: "", path: "" };
  let left = MAX_WITNESSES;
  const paths = new Set(["/", ...samplesOf(plan.allows.all), ...ELSEWHERE]);
  const methods = new Set(["GET", ...plan.allows.all.flatMap((entry) => entry.http?.methods ?? []), ...OTHER_METHODS]);
  for (const method of methods) {
    for (const path of paths) {
      if (left-- === 0) return;
      yield { app: plan.app, protocol: "http", method, path };
    }
  }
}

function samplesOf(entries: readonly Entry[]): string[] {
  return entries.flatMap((entry) =>
    (entry.http?.paths ?? []).flatMap((written) => {
      const pattern = parsePattern(written);
      return typeof pattern === "string" ? [] : [samplePath(pattern)];
    }),
  );
}
