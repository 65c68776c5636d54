/** Criterion `service`: a service by name. The only way an allow covers services at all (P13). */
import { defineCriterion, isOneOf, readList } from "../criterion.ts";
import { oneOrMore, text } from "../shapes.ts";

export const service = defineCriterion({
  name: "service",
  kind: "who",
  shape: oneOrMore(text),
  read: (raw, names, refuse) =>
    readList(raw, names, refuse, (written, no) => {
      if (/^[a-z0-9][a-z0-9_-]{0,62}$/.test(written)) return written;
      no(
        written.startsWith("postern:") ? "reserved" : "service",
        `"${written}" cannot be the name of a service`,
        "write lower-case letters, digits, - and _",
      );
      return undefined;
    }),
  reads: () => ["service"],
  compile: (value) => {
    const known = isOneOf("service", new Set(value));
    return (input) => {
      const { kind } = input.facts.subject;
      input.changesAt = Infinity;
      // What the subject is, is known; an anonymous one might be anything.
      return kind === "user" || kind === "device" ? false : known(input);
    };
  },
});
