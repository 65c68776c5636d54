/** Criterion `anyone`: true for everybody, signed in or not. The only way an allow covers the anonymous (P20). */
import * as z from "zod/mini";
import { defineCriterion } from "../criterion.ts";

export const anyone = defineCriterion({
  name: "anyone",
  kind: "open",
  doc: { form: "`anyone: true`", holds: "always; in an allow only together with `http.paths`" },
  shape: z.literal(true),
  read: () => true,
  reads: () => [],
  compile: () => (input) => {
    input.changesAt = Infinity;
    return true;
  },
});
