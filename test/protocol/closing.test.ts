/** Close codes, and when to come back. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BACKOFF_BASE_MS, BACKOFF_MAX_MS, STABLE_MS, failuresAfter, reconnectDelay } from "../../protocol/backoff.ts";
import { CLOSE_CODES, type CloseName, closeReason, sendableCloseCode } from "../../protocol/close-codes.ts";
import { CLOSE_RULES, closeName, retryAfterClose } from "../../protocol/close-rules.ts";
import { MAX_CLOSE_REASON_BYTES } from "../../protocol/limits.ts";

const names = Object.keys(CLOSE_CODES) as CloseName[];

describe("close codes", () => {
  it("CL1: the table of the specification is the table of the code", () => {
    const spec = readFileSync(new URL("../../protocol/SPEC.md", import.meta.url), "utf8");
    const rows = [...spec.matchAll(/^\| (\d{4}) \| (\w+) \| (\w+) \| (\w+) \|$/gm)].map((row) => row.slice(1));
    expect(rows).toEqual(names.map((name) => [String(CLOSE_CODES[name].code), name, CLOSE_RULES[name].toward, CLOSE_RULES[name].retry]));
  });
  it("CL1: every code is unique, can be sent, and its meaning fits into a close", () => {
    expect(new Set(names.map((name) => CLOSE_CODES[name].code)).size).toBe(names.length);
    for (const name of names) {
      const { code, meaning } = CLOSE_CODES[name];
      expect([sendableCloseCode(code), closeReason(meaning), closeName(code)]).toEqual([code, meaning, name]);
    }
    expect(closeName(3000)).toBeUndefined();
  });

  const mapped: readonly [number, number][] = [
    [1005, 1000], [1006, 1000], [1015, 1000], [1004, 1000], [1016, 1000], [2999, 1000], [0, 1000], [999, 1000], [5000, 1000], [-1, 1000], [1000.5, 1000], [Number.NaN, 1000],
    [1000, 1000], [1001, 1001], [1003, 1003], [1011, 1011], [1014, 1014], [3000, 3000], [4999, 4999],
  ];
  it.each(mapped)("CL2: %d is sent as %d", (code, sent) => {
    expect(sendableCloseCode(code)).toBe(sent);
  });

  it("CL3: a reason is a prefix of the text, at most 123 bytes, and the longest such", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        const cut = closeReason(text);
        const size = Buffer.byteLength(cut);
        expect(text.startsWith(cut)).toBe(true);
        expect(size).toBeLessThanOrEqual(MAX_CLOSE_REASON_BYTES);
        if (cut !== text) expect(size + Buffer.byteLength(String.fromCodePoint(text.codePointAt(cut.length) ?? 0))).toBeGreaterThan(MAX_CLOSE_REASON_BYTES);
      }),
    );
  });

  it("CL4: revoked and superseded never come back, draining at once, the unknown with backoff", () => {
    expect(names.filter((name) => CLOSE_RULES[name].toward !== "client" && retryAfterClose(CLOSE_CODES[name].code) === "never")).toEqual(["signed_out", "not_allowed", "superseded", "connector_revoked", "version_unsupported"]);
    expect([retryAfterClose(4503), retryAfterClose(1006), retryAfterClose(4999)]).toEqual(["now", "later", "later"]);
    // An engine on the way says these when bytes arrive broken: no reason to stay away.
    expect([1002, 1007, 1009].map(retryAfterClose)).toEqual(["later", "later", "later"]);
  });
});

describe("backoff", () => {
  it("KA3: the wait is uniform below a ceiling that doubles up to 20 s", () => {
    const ceilings = Array.from({ length: 10 }, (_, failures) => reconnectDelay(failures, 1));
    expect(ceilings).toEqual([250, 500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000, 20_000]);
    expect([reconnectDelay(0, 0), reconnectDelay(3, 0.5), reconnectDelay(5000, 0.999_999)]).toEqual([0, 1000, 19_999]);
    expect([BACKOFF_BASE_MS, BACKOFF_MAX_MS, STABLE_MS]).toEqual([250, 20_000, 10_000]);
  });
  const rows: readonly [number, number, "now" | "later" | "never", number | undefined][] = [
    [4, 0, "later", 5],
    [4, STABLE_MS - 1, "later", 5],
    [4, STABLE_MS, "later", 0],
    [4, 1, "now", 0],
    [4, 0, "now", 5],
    [0, STABLE_MS, "never", undefined],
  ];
  it.each(rows)("KA3: %i failures, then %i ms welcomed and closed with %s: %s", (failures, welcomedMs, retry, expected) => {
    expect(failuresAfter(failures, welcomedMs, retry)).toBe(expected);
  });
});
