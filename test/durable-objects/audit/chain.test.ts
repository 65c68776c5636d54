import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GENESIS, hashOf, verifyChain } from "../../../durable-objects/audit/chain.ts";
import type { StoredEvent } from "../../../durable-objects/audit/rpc.ts";
import { T0 } from "../samples.ts";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("base64url");

interface Given {
  readonly writer: string;
  readonly n: number;
  readonly note: string;
}

function chain(given: readonly Given[]): StoredEvent[] {
  const out: StoredEvent[] = [];
  for (const [index, { writer, n, note }] of given.entries()) {
    const event = { id: `a_${index}`, at: T0 + index, kind: "admin" as const, data: { note }, seq: index + 1, writer, n };
    out.push({ ...event, hash: hashOf(out.at(-1)?.hash ?? GENESIS, event, sha256) });
  }
  return out;
}

const TEN = chain(Array.from({ length: 10 }, (_, i) => ({ writer: "w", n: i + 1, note: `n${i}` })));
const replaced = (at: number, change: Partial<StoredEvent>): StoredEvent[] => TEN.map((one, i) => (i === at ? { ...one, ...change } : one));

describe("the chain of records (promise 8)", () => {
  it("an untouched shard verifies, and its head is its last hash", () => {
    expect(verifyChain(TEN, sha256)).toEqual({ records: 10, broken: [], gaps: [], head: TEN[9]?.hash });
    expect(verifyChain([], sha256)).toEqual({ records: 0, broken: [], gaps: [], head: GENESIS });
  });

  const rows: readonly [string, StoredEvent[], number][] = [
    ["altered data", replaced(4, { data: { note: "other" } }), 5],
    ["altered time", replaced(4, { at: T0 }), 5],
    ["altered kind", replaced(4, { kind: "setup" }), 5],
    ["altered id", replaced(4, { id: "a_9" }), 5],
    ["altered writer", replaced(4, { writer: "x" }), 5],
    ["altered number", replaced(4, { n: 50 }), 5],
    ["an altered hash breaks the record and the one after it", replaced(4, { hash: sha256("x") }), 5],
    ["the first record removed", TEN.slice(1), 2],
    ["one removed in the middle", TEN.filter((one) => one.seq !== 5), 6],
    ["two swapped", [...TEN.slice(0, 3), ...TEN.slice(4, 5), ...TEN.slice(3, 4), ...TEN.slice(5)], 5],
    ["one inserted", [...TEN.slice(0, 3), ...TEN.slice(2)], 3],
  ];
  it.each(rows)("shows %s", (_title, records, first) => {
    expect(verifyChain(records, sha256).broken[0]?.seq).toBe(first);
  });

  it("a removed record cannot be hidden by renumbering those after it", () => {
    const renumbered = TEN.filter((one) => one.seq !== 5).map((one, i) => ({ ...one, seq: i + 1 }));
    expect(verifyChain(renumbered, sha256).broken.map((one) => one.seq)).toEqual([5, 6, 7, 8, 9]);
  });

  it("any single change of any record shows", () => {
    fc.assert(
      fc.property(fc.nat({ max: 9 }), fc.constantFrom("data", "at", "id", "writer", "n", "hash"), fc.string({ minLength: 1 }), (at, field, salt) => {
        const record = TEN[at];
        if (record === undefined) return;
        const change = { data: { ...record.data, more: salt }, at: record.at + salt.length, id: record.id + salt, writer: record.writer + salt, n: record.n + salt.length, hash: record.hash + salt };
        const verdict = verifyChain(replaced(at, { [field]: change[field] }), sha256);
        expect(verdict.broken.length).toBeGreaterThan(0);
      }),
      { numRuns: 200, seed: 20261122 },
    );
  });
});

describe("gaps per writer (M20)", () => {
  const rows: readonly [string, readonly (readonly [string, number])[], readonly { writer: string; after: number }[]][] = [
    ["numbers that follow each other leave none", [["a", 1], ["b", 1], ["a", 2], ["b", 2]], []],
    ["records written at once have no number and no gap", [["direct", 0], ["direct", 0]], []],
    ["a writer whose first is missing", [["a", 2]], [{ writer: "a", after: 0 }]],
    ["two missing in the middle", [["a", 1], ["b", 1], ["a", 4], ["b", 2]], [{ writer: "a", after: 1 }]],
    ["a number that comes twice", [["a", 1], ["a", 1]], [{ writer: "a", after: 1 }]],
  ];
  it.each(rows)("%s", (_title, given, gaps) => {
    expect(verifyChain(chain(given.map(([writer, n]) => ({ writer, n, note: "" }))), sha256)).toMatchObject({ broken: [], gaps });
  });
});
