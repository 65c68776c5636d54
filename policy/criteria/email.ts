/** Criterion `email`: a verified address, lower-cased (P12, P14). Not an identity: addresses are reused. */
import { defineCriterion, isOneOf, readList, unknownForService } from "../criterion.ts";
import { oneOrMore, text } from "../shapes.ts";

export const email = defineCriterion({
  name: "email",
  kind: "who",
  shape: oneOrMore(text),
  read: (raw, names, refuse) =>
    readList(raw, names, refuse, (written, no) => {
      if (/^[^\s@]{1,64}@[^\s@]{1,255}$/.test(written)) return written.toLowerCase();
      no("email", `"${written}" is not an email address`, "for a whole domain write email_domain");
      return undefined;
    }),
  reads: () => ["email"],
  compile: (value) => isOneOf("email", new Set(value), unknownForService),
});
