/** The command line of `npm run bench`. Reads no file. */
import { parseArgs } from "node:util";
import { namesIn } from "./names.ts";

export interface BenchOptions {
  readonly quick: boolean;
  readonly tiny: boolean;
  /** Names of cases; empty: all. A name that ends in `*` stands for all that begin so. */
  readonly only: readonly string[];
  readonly systems: readonly string[];
  readonly rounds: number | undefined;
  readonly fresh: boolean;
  readonly generator: "wrk" | "node" | undefined;
  readonly out: string | undefined;
  readonly help: boolean;
}

export const USAGE = `npm run bench [-- options]   measure Postern beside its yardsticks and peers

  --quick            fewer and shorter samples: at most 8 minutes (all: at most 40)
  --only CASE,…      these cases (http-1k-c32, download-*, …)
  --systems NAME,…   these systems (do-hello, floor, postern, …)
  --rounds N         samples of each system in each case
  --fresh            begin anew instead of going on with a run that was broken off
  --generator G      wrk or node; by default wrk where it is installed
  --out FILE         where the results go (default bench/results/latest.json; of a part: part.json.tmp beside it)
  --tiny             a few requests each: shows that it works, measures nothing
  --help             this text
`;

/** Parses the arguments; throws an Error that says what is wrong. */
export function parseBenchOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean" },
      tiny: { type: "boolean" },
      only: { type: "string" },
      systems: { type: "string" },
      rounds: { type: "string" },
      fresh: { type: "boolean" },
      generator: { type: "string" },
      out: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) throw new Error("--rounds takes a number above 0");
  const { generator } = values;
  if (generator !== undefined && generator !== "wrk" && generator !== "node") throw new Error("--generator takes wrk or node");
  return {
    quick: values.quick ?? false,
    tiny: values.tiny ?? false,
    only: namesIn(values.only),
    systems: namesIn(values.systems),
    rounds,
    fresh: values.fresh ?? false,
    generator,
    out: values.out,
    help: values.help ?? false,
  };
}
