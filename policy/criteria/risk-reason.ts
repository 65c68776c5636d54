/** Criterion `risk_reason`: why a person is trusted less now, whatever the level; one of these counts. Unknown of whoever has no risk. */
import * as v from "valibot";
import { defineCriterion, factOf } from "../criterion.ts";
import { oneOrMore, toList } from "../shapes.ts";
import { RISK_REASONS } from "../when.ts";

export const riskReason = defineCriterion({
  name: "risk_reason",
  kind: "context",
  shape: oneOrMore(v.picklist(RISK_REASONS)),
  read: toList,
  reads: () => ["risk.reasons"],
  compile: (value) => (input) => {
    const known = factOf(input, "risk.reasons")?.value;
    return Array.isArray(known) ? value.some((code) => known.includes(code)) : "unknown";
  },
});
