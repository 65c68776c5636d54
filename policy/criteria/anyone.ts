/** Criterion `anyone`: true for everybody, signed in or not. The only way an allow covers the anonymous (P20). */
import * as v from "valibot";
import { defineCriterion } from "../criterion.ts";

export const anyone = defineCriterion({
  name: "anyone",
  kind: "open",
  shape: v.literal(true),
  read: () => true,
  reads: () => [],
  compile: () => (input) => {
    input.changesAt = Infinity;
    return true;
  },
});
