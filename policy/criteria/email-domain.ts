/** Criterion `email_domain`: the domain of a verified address, exactly (no subdomains). */
import { defineCriterion, readList, textOf, unknownForService } from "../criterion.ts";
import { oneOrMore, text } from "../shapes.ts";

export const emailDomain = defineCriterion({
  name: "email_domain",
  kind: "who",
  shape: oneOrMore(text),
  read: (raw, names, refuse) =>
    readList(raw, names, refuse, (written, no) => {
      const domain = written.toLowerCase();
      if (/^[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8}$/.test(domain)) return domain;
      no("email_domain", `"${written}" is not a domain`, written.startsWith("@") ? `write "${domain.slice(1)}"` : undefined);
      return undefined;
    }),
  reads: () => ["email"],
  compile: (value) => {
    const domains = new Set(value);
    return (input) => {
      if (unknownForService(input)) return "unknown";
      const address = textOf(input, "email");
      const at = address?.lastIndexOf("@") ?? -1;
      return address === undefined || at < 1 ? "unknown" : domains.has(address.slice(at + 1));
    };
  },
});
