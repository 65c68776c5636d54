/** Damaged and forged frames against the model (F8), a tenth of `npm run soak -- fuzz`; and every script that once failed. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { corpus, play, scripts } from "./frame-fuzz.ts";

const RUNS_COUNT = 1_000;

describe("whatever a link or a peer does to frames", () => {
  it("FR8 ST4 FC2 FC8 FC11: no throw, no byte on another stream, no cap exceeded, nothing left behind", () => {
    fc.assert(fc.property(scripts, (script) => play(script)), { numRuns: RUNS_COUNT });
  });

  it.each(corpus())("FR8: $name holds", ({ script }) => {
    expect(() => play(script)).not.toThrow();
  });

  it("FR8: the model notices what it looks for", () => {
    // A peer's own frame with a byte of another stream in it.
    const wrong = { do: "garbage", from: "edge", bytes: [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0x85] } as const;
    expect(() => play([wrong])).toThrow("bytes of another stream on 2");
  });
});
