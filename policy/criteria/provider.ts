/** Criterion `provider`: where the subject signed in. */
import { defineCriterion, isOneOf, readList, unknownForService } from "../criterion.ts";
import { oneOrMore, text } from "../shapes.ts";
import { didYouMean } from "../suggest.ts";

export const provider = defineCriterion({
  name: "provider",
  kind: "who",
  shape: oneOrMore(text),
  read: (raw, names, refuse) =>
    readList(raw, names, refuse, (written, no) => {
      if (names.providers.includes(written)) return written;
      no("dangling", `no provider "${written}"`, didYouMean(written, names.providers));
      return undefined;
    }),
  reads: () => ["provider"],
  compile: (value) => isOneOf("provider", new Set(value), unknownForService),
});
