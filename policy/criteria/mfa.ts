/** Criterion `mfa`: a second factor, how fresh and which. Unknown when there was none or it is too old. */
import * as v from "valibot";
import { keys } from "../containers.ts";
import { defineCriterion, factOf, unknownForService } from "../criterion.ts";
import { duration, matching, oneOrMore, toList, toMs } from "../shapes.ts";

const method = matching(/^[A-Za-z0-9_.:-]{1,64}$/, "an amr value (RFC 8176) such as hwk, otp or mfa");

export const mfa = defineCriterion({
  name: "mfa",
  kind: "context",
  shape: v.union([
    v.literal(true),
    keys({ max_age: v.optional(duration), methods: v.optional(oneOrMore(method)) }),
  ]),
  read: (raw) =>
    raw === true
      ? { methods: [] }
      : {
          methods: raw.methods === undefined ? [] : [...new Set(toList(raw.methods))].sort(),
          ...(raw.max_age === undefined ? {} : { maxAge: toMs(raw.max_age) }),
        },
  reads: () => ["mfa"],
  compile: ({ maxAge, methods }) => (input) => {
    if (unknownForService(input)) return "unknown";
    const value = factOf(input, "mfa", maxAge)?.value;
    if (value === undefined || value === null || typeof value !== "object" || !("methods" in value)) return "unknown";
    const used = value.methods;
    if (!Array.isArray(used)) return "unknown";
    return methods.length === 0 || methods.some((wanted) => used.includes(wanted));
  },
});
