import { describe, expect, it } from "vitest";
import { at } from "../../core/time.ts";
import { compile } from "../../policy/compile.ts";
import { deadlinesOf, dueAt } from "../../policy/deadlines.ts";
import { decide } from "../../policy/decide.ts";
import type { Fact, Facts } from "../../policy/facts.ts";
import { documentOf, HEAD } from "./fixtures.ts";

const NOW = Date.parse("2026-11-23T10:00:00Z");
const MINUTE = 60_000;

function planFor(when: string): { policy: ReturnType<typeof compile>; plan: NonNullable<ReturnType<ReturnType<typeof compile>["plan"]>> } {
  const policy = compile(documentOf(`${HEAD}apps: [{ id: wiki, site: berlin, upstream: "http://10.0.0.5" }]
policies: [{ id: p, effect: allow, apps: [wiki], when: ${when} }]
`), 1);
  const plan = policy.plan("wiki");
  if (plan === undefined) throw new Error("no plan");
  return { policy, plan };
}
const fact = (value: Fact["value"], ageMinutes: number, livesMinutes?: number): Fact => ({ value, source: "postern", observedAt: at(NOW - ageMinutes * MINUTE), ...(livesMinutes === undefined ? {} : { expiresAt: at(NOW + livesMinutes * MINUTE) }) });
const facts = (known: Facts["known"]): Facts => ({ subject: { kind: "user", id: "u" }, known });

describe("what a stream's decision waits for (P18)", () => {
  const rows: readonly [string, string, Facts["known"], number, readonly [string, number][]][] = [
    ["nothing, when nothing ages", "{ provider: [corp] }", { provider: fact("corp", 5) }, Infinity, []],
    ["the age of a second factor", "{ mfa: { max_age: 1h } }", { mfa: fact({ methods: ["hwk"] }, 50) }, Infinity, [["mfa", 10]]],
    ["the end that a fact brought along", "{ risk: [low] }", { risk: fact("low", 5, 3) }, Infinity, [["risk", 3]]],
    ["each fact of a device by its own age", "{ device: { disk_encrypted: true, firewall: true, max_age: 15m } }", { "device.disk_encrypted": fact(true, 10), "device.firewall": fact(true, 2) }, Infinity, [["device.disk_encrypted", 5], ["device.firewall", 13]]],
    ["a fact of a device beside one that ran out already, which nothing waits for", "{ any: [{ country: [DE] }, { device: { disk_encrypted: true, firewall: true } }] }", { "device.disk_encrypted": fact(true, 130, -10), "device.firewall": fact(true, 10, 20) }, Infinity, [["device.firewall", 20]]],
    ["a factor that is fresher than what is renewed oftener", "{ mfa: { max_age: 1h }, device: { firewall: true, max_age: 15m } }", { mfa: fact({ methods: [] }, 20), "device.firewall": fact(true, 10) }, Infinity, [["mfa", 40], ["device.firewall", 5]]],
    ["the end of a time window, which no fact moves", `{ time_window: { days: [mon], from: "09:00", to: "10:30", zone: UTC } }`, {}, Infinity, [["", 30]]],
    ["the session's end at this app", "{ provider: [corp] }", { provider: fact("corp", 5) }, NOW + 7 * MINUTE, [["", 7]]],
    ["what an alternative waits for, too", "{ any: [{ mfa: { max_age: 1h } }, { risk: [low] }] }", { mfa: fact({ methods: [] }, 59), risk: fact("low", 1, 20) }, Infinity, [["mfa", 1], ["risk", 20]]],
  ];
  it.each(rows)("%s", (_title, when, known, sessionEndsAt, expected) => {
    const { plan } = planFor(when);
    const found = deadlinesOf(plan, facts(known), sessionEndsAt, NOW).map(({ at: due, by }) => [by?.name ?? "", Math.floor((due - NOW) / MINUTE)] as const);
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
  });

  it("is never later than what decide() says, and moves with the fact that is renewed", () => {
    const { policy, plan } = planFor("{ mfa: { max_age: 1h }, device: { firewall: true, max_age: 15m } }");
    const before = { mfa: fact({ methods: [] }, 20), "device.firewall": fact(true, 10) };
    const deadlines = deadlinesOf(plan, facts(before), Infinity, NOW);
    const next = (known: Facts["known"]): number => Math.min(...deadlines.map((one) => dueAt(one, known)));
    const says = (known: Facts["known"]): unknown => decide(policy, { app: "wiki" as never, protocol: "http", method: "GET", path: "/" }, facts(known), at(NOW)).redecideAt;
    expect(next(before)).toBe(says(before));
    const renewed = { ...before, "device.firewall": fact(true, 0) };
    expect(next(renewed)).toBe(says(renewed));
    // What is older than what was known, or gone, puts nothing off.
    expect(next({ ...before, "device.firewall": fact(true, 12) })).toBe(next(before));
    expect(next({ mfa: before.mfa })).toBe(next(before));
  });
});
