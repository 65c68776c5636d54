/** A person's passkeys: who may change them, challenges that count once, counters that go on, and bounds. */
import { describe, expect, it } from "vitest";
import { add, ask, CHALLENGE_LIFE_MS, MAX_CHALLENGES_COUNT, MAX_PASSKEYS_COUNT, mayChange, NO_PASSKEYS, type Passkey, type Passkeys, remove, spend, use } from "../../../durable-objects/user/passkeys.ts";
import { sidOf, T0 } from "../samples.ts";

const keyOf = (id: string, counter = 1): Passkey => ({ id, publicKey: "AA", counter, kind: "hwk", name: id, createdAt: T0, usedAt: 0 });
const having = (...keys: Passkey[]): Passkeys => ({ ...NO_PASSKEYS, keys });
const HERS = { sid: sidOf(1), act: "use" } as const;

describe("changing one's passkeys", () => {
  it.each([
    ["nothing", 0, false], ["nothing", 1, false],
    ["auth", 0, true], ["auth", 1, false],
    ["passkey", 0, false], ["passkey", 1, true],
    ["mfa", 0, true], ["mfa", 1, true],
  ] as const)("with %s proved and %i of them: %s", (proved, count, allowed) => {
    expect(mayChange(Array.from({ length: count }, (_, i) => keyOf(String(i))), proved)).toBe(allowed);
  });

  it("adds each key once, and at most so many", () => {
    const one = add(NO_PASSKEYS, keyOf("a"));
    expect(one?.keys).toHaveLength(1);
    expect(add(one ?? NO_PASSKEYS, keyOf("a"))).toBeUndefined();
    const full = having(...Array.from({ length: MAX_PASSKEYS_COUNT }, (_, i) => keyOf(String(i))));
    expect(add(full, keyOf("more"))).toBeUndefined();
    expect(add(remove(full, "0"), keyOf("more"))?.keys).toHaveLength(MAX_PASSKEYS_COUNT);
  });
});

describe("a challenge", () => {
  const asked = ask(NO_PASSKEYS, HERS, "c", T0);
  it("is spent once", () => {
    const spent = spend(asked, HERS, "c", T0 + CHALLENGE_LIFE_MS - 1);
    expect(spent?.challenges).toEqual([]);
    expect(spend(spent ?? asked, HERS, "c", T0 + 1)).toBeUndefined();
  });

  it.each<[string, Parameters<typeof spend>[1], string, number]>([
    ["another one", HERS, "d", T0],
    ["in another session", { ...HERS, sid: sidOf(2) }, "c", T0],
    ["for another act", { ...HERS, act: "add" }, "c", T0],
    ["when its time is over", HERS, "c", T0 + CHALLENGE_LIFE_MS],
  ])("counts for nothing: %s", (_name, by, challenge, now) => {
    expect(spend(asked, by, challenge, now)).toBeUndefined();
    expect(spend(asked, HERS, "c", T0)).toBeDefined();
  });

  it("that nobody answers goes, the oldest first", () => {
    let state: Passkeys = NO_PASSKEYS;
    for (let i = 0; i < MAX_CHALLENGES_COUNT + 5; i++) state = ask(state, HERS, `c${i}`, T0);
    expect(state.challenges.map(({ challenge }) => challenge)).toEqual(Array.from({ length: MAX_CHALLENGES_COUNT }, (_, i) => `c${i + 5}`));
    expect(ask(state, HERS, "later", T0 + CHALLENGE_LIFE_MS).challenges).toHaveLength(1);
  });
});

describe("a counter (WebAuthn §6.1.1)", () => {
  it.each([
    [1, 2, true], [1, 1, false], [5, 4, false], [5, 0, false], [0, 1, true], [0, 0, true],
  ])("that stood at %i and comes as %i: %s", (before, now, counts) => {
    const used = use(having(keyOf("a", before), keyOf("b")), "a", now, T0 + 1);
    expect(used === undefined).toBe(!counts);
    if (used !== undefined) expect(used.keys).toEqual([{ ...keyOf("a", now), usedAt: T0 + 1 }, keyOf("b")]);
  });

  it("of a key that is not there counts for nothing", () => {
    expect(use(having(keyOf("a")), "b", 9, T0)).toBeUndefined();
    expect(use(remove(having(keyOf("a")), "a"), "a", 9, T0)).toBeUndefined();
  });
});
