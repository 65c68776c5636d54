/** What a sign of risk is: one reason that an event gives for trusting a person less, each in a file of its own. Pure and deterministic. */
import type { RiskReason } from "../../../policy/when.ts";
import type { RiskEvent } from "../rpc.ts";
import type { RiskHistory } from "./history.ts";

export interface Sign {
  /** Stable; the record, `explain` and policies' readers see it. */
  readonly code: RiskReason;
  /** Of 100. From 20 on the risk is medium, from 50 on high (assess.ts). */
  readonly weight: number;
  /** How long it counts after the event, milliseconds. */
  readonly lastsMs: number;
  /** `before`: what was known when the event came. */
  readonly appears: (event: RiskEvent, before: RiskHistory) => boolean;
}
