/**
 * What an app allows while a part of the house is down (P19): the identity provider, the record
 * (audit) or control. That a part is down is a fact with its own beginning, so that a decision
 * under it can be made again. Not who notices.
 */
import type { Plan } from "./compile.ts";
import type { PolicyDocument } from "./document.ts";
import type { Fact, Facts } from "./facts.ts";

export const LOSS_PARTS = ["identity", "audit", "control"] as const;
export type LossPart = (typeof LOSS_PARTS)[number];

/** From the least to the most that may go on. */
export const LOSS_WORDS = ["cut", "read_only", "keep"] as const;

export interface LossRule {
  readonly how: (typeof LOSS_WORDS)[number];
  /** ms, of `identity` only; absent: as long as the session. Of the others it is the lease. */
  readonly for?: number;
}

export type LossRules = { readonly [part in LossPart]: LossRule };

/** The lease: as long as anybody trusts what it cannot ask about (durable-objects/lease-terms.ts). */
export const LOSS_LEASE_MS = 30_000;

/** A rule as a decision looks at it. */
export interface LossBound {
  /** ms from the loss; -Infinity: not at all. */
  readonly lasts: number;
  readonly readOnly: boolean;
}

/** How long it lets anything go on. */
export const lasting = (part: LossPart, { how, for: own = Infinity }: LossRule): number => (how === "cut" ? -Infinity : part === "identity" ? own : LOSS_LEASE_MS);

/** The rule of whoever wrote none, also before there were any. */
export const KEEP: LossRule = { how: "keep" };

/** The strictest of several. */
export const boundOf = (part: LossPart, rules: readonly LossRule[]): LossBound => ({
  lasts: Math.min(...rules.map((one) => lasting(part, one))),
  readOnly: rules.some(({ how }) => how === "read_only"),
});

/** Some app's people depend on whether their provider answers: only then anybody asks it. */
export const needsProviders = ({ apps, defaults }: PolicyDocument): boolean =>
  [defaults.onLoss, ...apps.map(({ onLoss }) => onLoss)].some((rules) => rules?.identity !== undefined && (rules.identity.how !== "keep" || rules.identity.for !== undefined));

/** The name of the fact that a part is down. Of several providers each person's own counts. */
export const lossName = (part: LossPart, provider: unknown): string => (part === "identity" ? `loss.identity.${String(provider)}` : `loss.${part}`);
/** The fact that a stream is the first of its session at its app. */
export const FIRST_GRANT = "first_grant";

/** Since when a part is down for whoever these facts are about. */
const lossIn = ({ known }: Facts, part: LossPart): Fact | undefined => known[lossName(part, part === "identity" && known["provider"]?.value)];

/** All that is down, for whoever these facts are about. */
export const lossesIn = (facts: Facts): readonly (readonly [LossPart, Fact])[] =>
  LOSS_PARTS.flatMap((part) => {
    const fact = lossIn(facts, part);
    return fact === undefined ? [] : [[part, fact] as const];
  });

export interface Loss {
  /** The part without which this may not go on at all. */
  readonly over?: LossPart;
  /** … without which only reading may. */
  readonly readOnly?: LossPart;
  /** When one of them ends what it let go on. */
  readonly until: number;
}
const NONE: Loss = { until: Infinity };

export function lossOf({ onLoss }: Plan, facts: Facts, now: number): Loss {
  let loss = NONE;
  for (const part of LOSS_PARTS) {
    const fact = lossIn(facts, part);
    if (fact === undefined) continue;
    const { lasts, readOnly } = onLoss[part];
    const end = fact.observedAt + lasts;
    loss = now < end ? { ...loss, ...(readOnly ? { readOnly: part } : {}), until: Math.min(loss.until, end) } : { ...loss, over: part };
  }
  return loss;
}

/** New access that the part which is down could not vouch for: a first grant that is not on record, a session begun since its provider is away. */
export function newWhileLost(facts: Facts): LossPart | undefined {
  if (facts.known[FIRST_GRANT] !== undefined && lossIn(facts, "audit") !== undefined) return "audit";
  const since = lossIn(facts, "identity")?.observedAt;
  return since !== undefined && facts.session !== undefined && !(facts.session.startedAt <= since) ? "identity" : undefined;
}
