/** Criterion `user`: this very person, by "provider:sub" or by user id. Not for emails: those move. */
import { defineCriterion, readList, textOf, unknownForService } from "../criterion.ts";
import { oneOrMore, text } from "../shapes.ts";
import { didYouMean } from "../suggest.ts";

export const user = defineCriterion({
  name: "user",
  kind: "who",
  shape: oneOrMore(text),
  read: (raw, names, refuse) =>
    readList(raw, names, refuse, (written, no) => {
      if (/^u_[A-Za-z0-9_-]{43}$/.test(written)) return written;
      const provider = names.providers.find((id) => written.startsWith(`${id}:`));
      if (provider !== undefined && written.length > provider.length + 1) return written;
      const [sole] = names.providers;
      if (provider === undefined && sole !== undefined && names.providers.length === 1) return `${sole}:${written}`;
      const before = written.split(":")[0] ?? "";
      no("dangling", `"${written}" names no provider; write provider:sub`, didYouMean(before, names.providers));
      return undefined;
    }),
  reads: () => ["user"],
  compile: (value) => {
    const users = new Set(value);
    return (input) => {
      if (unknownForService(input)) return "unknown";
      const { subject } = input.facts;
      if (subject.kind === "user" && users.has(subject.id)) return true;
      const known = textOf(input, "user");
      return known === undefined ? "unknown" : users.has(known);
    };
  },
});
