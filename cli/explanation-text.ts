/** An explanation for people: the effect, then every policy about the app with each of its criteria. */
import type { ExplanationAnswer } from "../protocol/admin-api.ts";
import { printable } from "./printable.ts";

const MARK = { true: "+", false: "-", unknown: "?" } as const;

export function explanationText(one: ExplanationAnswer): string {
  const by = one.decided_by.length === 0 ? "no policy" : one.decided_by.join(", ");
  const lines = [`${one.effect} (${one.reason}) by ${by}, policy version ${one.policy_version}`];
  for (const policy of one.policies) {
    const why = policy.why === "subject" ? ": not about this kind of subject" : policy.why === "http" ? ": not about this request" : "";
    lines.push(`  ${policy.effect} ${policy.id}: ${policy.result}${why}`);
    for (const { path, result, fact, value, source, age_ms: age } of policy.criteria) {
      const seen = fact === null ? "" : source === null ? `; ${fact} is not known` : `; ${fact} = ${JSON.stringify(value)} (${source}, ${ageText(age)} old)`;
      lines.push(`    ${MARK[result]} ${path}: ${result}${seen}`);
    }
  }
  const { session_ends_at: ends, idle_ms: idle, max_bytes: bytes, read_only: readOnly, role } = one.limits;
  const limits = [
    ...(ends === undefined ? [] : [`session ends ${ends}`]),
    ...(idle === undefined ? [] : [`idle ${ageText(idle)}`]),
    ...(bytes === undefined ? [] : [`at most ${bytes} bytes`]),
    ...(readOnly ? ["read only"] : []),
    ...(role === undefined ? [] : [`role ${role}`]),
  ];
  if (limits.length > 0) lines.push(`limits: ${limits.join(", ")}`);
  if (one.step_up !== undefined) lines.push(`step-up: a sign-in at most ${ageText(one.step_up.max_age_ms)} old${one.step_up.mfa ? ` with a second factor (${one.step_up.methods.join(", ") || "any"})` : ""}`);
  lines.push(one.redecide_at === null ? "stands until a fact or the policy changes" : `decided again at ${one.redecide_at}`);
  lines.push(...one.fix.map((text) => `the subject is told: ${text}`));
  return `${lines.map(printable).join("\n")}\n`;
}

/** Whole seconds, minutes or hours, whichever reads best. */
function ageText(ms: number | null): string {
  if (ms === null) return "?";
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}
