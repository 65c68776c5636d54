/**
 * Criterion `grant`: somebody gave this person access to this very app for a while (P27). True while
 * the grant lives, false once it was taken back, unknown of whoever has none. It opens nothing by
 * itself: every other criterion of its policy still counts, and so does every deny.
 */
import * as v from "valibot";
import { DAY_MS } from "../../core/time.ts";
import { keys } from "../containers.ts";
import { defineCriterion, factOf } from "../criterion.ts";
import { GRANT, grantFact } from "../facts.ts";
import { duration, toMs } from "../shapes.ts";

export const grant = defineCriterion({
  name: "grant",
  kind: "context",
  shape: v.union([v.literal(true), keys({ max: duration })]),
  read: (raw) => ({ max: raw === true ? DAY_MS : toMs(raw.max) }),
  reads: () => [GRANT],
  compile: ({ max }) => (input) => {
    const fact = factOf(input, grantFact(input.app), max);
    // An operator's word about a person alone counts, whatever else brought a fact of that name.
    const given = input.facts.subject.kind === "user" && fact?.source.startsWith("operator:") === true ? fact.value : undefined;
    return typeof given === "string" ? true : given === false ? false : "unknown";
  },
});
