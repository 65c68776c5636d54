/** The command line of `npm run bench:revoke`. Reads no file. */
import { parseArgs } from "node:util";
import { namesIn } from "../names.ts";
import type { Size } from "./cases.ts";

export interface RevokeOptions {
  readonly size: Size;
  /** Names of cases; empty: all. `*` stands for anything. */
  readonly only: readonly string[];
  readonly fresh: boolean;
  readonly out: string | undefined;
  readonly help: boolean;
}

export const USAGE = `npm run bench:revoke [-- options]   measure from a signal to the end of live connections

  --quick            fewer receipts and smaller crowds: at most 5 minutes (all: at most 25)
  --only CASE,…      these cases (session/http/100, policy/*, */ssh/*, partitions, …)
  --fresh            begin anew instead of going on with a run that was broken off
  --out FILE         where the results go (default bench/results/revoke.json; of a part: revoke-part.json.tmp beside it)
  --tiny             one receipt each with a few connections: shows that it works, measures nothing
  --help             this text

Exit 1 when a bound is broken (docs/freshness.md) or something failed.
`;

/** Parses the arguments; throws an Error that says what is wrong. */
export function parseRevokeOptions(args: readonly string[]): RevokeOptions {
  const { values } = parseArgs({
    args: [...args],
    options: { quick: { type: "boolean" }, tiny: { type: "boolean" }, only: { type: "string" }, fresh: { type: "boolean" }, out: { type: "string" }, help: { type: "boolean", short: "h" } },
  });
  return { size: values.tiny === true ? "tiny" : values.quick === true ? "quick" : "all", only: namesIn(values.only), fresh: values.fresh ?? false, out: values.out, help: values.help ?? false };
}
