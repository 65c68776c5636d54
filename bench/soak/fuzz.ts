/** Damaged and forged frames against the model of test/protocol/frame-fuzz.ts, seed after seed, until the time is over or something fails. */
import { fuzz as play } from "../../test/protocol/frame-fuzz.ts";
import type { Outcome, Soak, SoakOptions } from "./soak.ts";

/** At least so many, however short the time. */
const MIN_RUNS = 10_000;
const ROUND_RUNS = 10_000;

async function run({ minutes, seed, scale, say }: SoakOptions): Promise<Outcome> {
  const until = performance.now() + minutes * 60_000;
  const least = MIN_RUNS * scale;
  let n = 0;
  for (let round = 0; n < least || performance.now() < until; round++) {
    const { runs, failure } = play(seed + round, Math.min(ROUND_RUNS, Math.max(least, 1)), Math.max(1_000, until - performance.now()) + 60_000);
    n += runs;
    if (failure !== undefined) {
      // As a file of test/protocol/corpus it is played by every `npm test` from then on.
      say(`a case for the corpus: ${JSON.stringify(failure.script)}`);
      return { n, failures: [`seed ${seed + round}: ${failure.why}`], figures: {} };
    }
  }
  return { n, failures: [], figures: { runs: n } };
}

export const fuzz: Soak = { name: "fuzz", about: "damaged and forged frames against the model", minutes: 5, run };
