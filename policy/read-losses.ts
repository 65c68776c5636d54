/** `on_identity_loss`, `on_audit_loss`, `on_control_loss` as written, and that no app is looser in them than the defaults (P19). */
import type { PolicyDocument } from "./document.ts";
import { KEEP, lasting, LOSS_PARTS, LOSS_WORDS, type LossRule, type LossRules } from "./losses.ts";
import type { Report } from "./problems.ts";
import type { RawApp } from "./schema.ts";
import { toMs } from "./shapes.ts";

const keyOf = (part: (typeof LOSS_PARTS)[number]) => `on_${part}_loss` as const;

export function readLosses(raw: Pick<RawApp, ReturnType<typeof keyOf>> | undefined): Partial<LossRules> {
  const rules: { -readonly [part in keyof LossRules]?: LossRule } = {};
  for (const part of LOSS_PARTS) {
    const written = raw?.[keyOf(part)];
    if (typeof written === "string") rules[part] = { how: written };
    else if (written !== undefined) for (const how of LOSS_WORDS) if (how in written) rules[part] = { how, for: toMs((written as Record<string, string>)[how] ?? "") };
  }
  return rules;
}

/** What an app leaves unsaid is the defaults': `keep` under `keep: 1h` is no longer than that. */
export function checkLosses({ apps, defaults: { onLoss } }: PolicyDocument, report: Report): void {
  for (const [i, app] of apps.entries()) {
    for (const part of LOSS_PARTS) {
      const [own, general] = [app.onLoss?.[part], onLoss?.[part] ?? KEEP];
      if (own === undefined) continue;
      const path = ["apps", i, keyOf(part)];
      const looser = LOSS_WORDS.indexOf(own.how) > LOSS_WORDS.indexOf(general.how) || (own.for !== undefined && lasting(part, own) > lasting(part, general));
      if (looser) report({ code: "looser", message: `looser than the defaults, which say ${general.how}`, fix: "leave it out", path });
    }
  }
}
