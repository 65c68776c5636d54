/** Criterion `group`: membership as one provider tells it, "provider:name" (P14). */
import { defineCriterion, factOf, readList, unknownForService } from "../criterion.ts";
import { oneOrMore, text } from "../shapes.ts";
import { didYouMean } from "../suggest.ts";

export const group = defineCriterion({
  name: "group",
  kind: "who",
  shape: oneOrMore(text),
  read: (raw, names, refuse) =>
    readList(raw, names, refuse, (written, no) => {
      const colon = written.indexOf(":");
      const provider = names.providers.find((id) => written.startsWith(`${id}:`));
      if (provider !== undefined && written.length > provider.length + 1) return written;
      if (colon === -1 && names.groupProvider !== undefined) return `${names.groupProvider}:${written}`;
      if (colon === -1) {
        no("ambiguous_group", `"${written}" does not say whose group it is`, `write provider:${written}`);
        return undefined;
      }
      const before = written.slice(0, colon);
      no("dangling", `group "${written}": no provider "${before}"`, didYouMean(before, names.providers));
      return undefined;
    }),
  reads: () => ["groups"],
  compile: (value) => {
    const groups = new Set(value);
    return (input) => {
      if (unknownForService(input)) return "unknown";
      const known = factOf(input, "groups")?.value;
      if (!Array.isArray(known)) return "unknown";
      for (const item of known) if (typeof item !== "string") return "unknown";
      for (const item of known) if (groups.has(item as string)) return true;
      return false;
    };
  },
});
