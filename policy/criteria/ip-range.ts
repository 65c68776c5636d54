/** Criterion `ip_range`: the connection's source address lies in a CIDR block (P12). */
import { defineCriterion, readList, textOf } from "../criterion.ts";
import type { Cidr } from "../ip.ts";
import { contains, formatCidr, parseAddress, parseCidr } from "../ip.ts";
import { oneOrMore, text } from "../shapes.ts";

export const ipRange = defineCriterion({
  name: "ip_range",
  kind: "context",
  shape: oneOrMore(text),
  read: (raw, names, refuse) =>
    readList(raw, names, refuse, (written, no) => {
      const parsed = parseCidr(written);
      if (parsed?.exact === true) return formatCidr(parsed.cidr);
      if (parsed === undefined) no("cidr", `"${written}" is not a CIDR block`, 'write for example "192.0.2.0/24"');
      else no("cidr", `"${written}" has bits set behind its prefix`, `write "${formatCidr(parsed.cidr)}"`);
      return undefined;
    }),
  reads: () => ["ip"],
  compile: (value) => {
    const blocks = value.map((block) => parseCidr(block)?.cidr).filter((block): block is Cidr => block !== undefined);
    return (input) => {
      const written = textOf(input, "ip");
      const address = written === undefined ? undefined : parseAddress(written);
      return address === undefined ? "unknown" : blocks.some((block) => contains(block, address));
    };
  },
});
