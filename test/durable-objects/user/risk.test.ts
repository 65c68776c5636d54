import { describe, expect, it } from "vitest";
import { assess, heed, NO_RISK, report, REPORTED, type RiskState, SIGNS } from "../../../durable-objects/user/risk/assess.ts";
import type { RiskEvent } from "../../../durable-objects/user/rpc.ts";
import { at } from "../../../core/time.ts";
import { RISK_REASONS } from "../../../policy/when.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MINUTE = 60_000;
/** A Monday, 08:00 UTC. */
const T0 = Date.parse("2026-11-02T08:00:00Z");

const BERLIN = { country: "DE", asn: 3320, device: "Firefox", location: { latitude: 52.5, longitude: 13.4 } };
const SYDNEY = { country: "AU", asn: 1221, device: "Firefox", location: { latitude: -33.9, longitude: 151.2 } };
const POTSDAM = { ...BERLIN, asn: 6805, location: { latitude: 52.4, longitude: 13.1 } };
const VIENNA = { country: "AT", asn: 8447, device: "Firefox", location: { latitude: 48.2, longitude: 16.4 } };

const signIn = (day: number, more: Partial<RiskEvent> = {}): RiskEvent => ({ kind: "sign_in", at: T0 + day * DAY, sid: `s${day}`, ...BERLIN, ...more });
const play = (events: readonly RiskEvent[], from: RiskState = NO_RISK): RiskState => events.reduce(heed, from);

/** Thirty working days: a sign-in each morning, the wiki and the CRM, 50 MB and 400 requests a day. */
const USUAL = play(
  Array.from({ length: 30 }, (_, day) => [
    signIn(day),
    ...["wiki", "crm"].map((app, n): RiskEvent => ({ kind: "use", at: T0 + day * DAY + (n + 1) * HOUR, sid: `s${day}`, country: "DE", asn: 3320, app, bytes: 25e6, requests: 200 })),
  ]).flat(),
);
const NEXT = 30;
const use = (more: Partial<RiskEvent>): RiskEvent => ({ kind: "use", at: T0 + NEXT * DAY + HOUR, sid: "s30", country: "DE", asn: 3320, app: "wiki", ...more });
const denied = (n: number): RiskEvent[] => Array.from({ length: n }, (_, i) => ({ kind: "denied", at: T0 + NEXT * DAY + i * 1_000, sid: "s30" }));

describe("what a person does, against what is usual for them", () => {
  const rows: readonly [string, readonly RiskEvent[], string, readonly string[]][] = [
    ["another day like the others", [signIn(NEXT), use({})], "low", []],
    ["a network in the same town", [signIn(NEXT, POTSDAM)], "low", ["new_network"]],
    ["a weekend in the next country, a day later", [signIn(NEXT, VIENNA)], "medium", ["new_country", "new_network"]],
    ["the other side of the world, an hour after the last sign-in", [signIn(NEXT), signIn(NEXT, { ...SYDNEY, at: T0 + NEXT * DAY + HOUR })], "high", ["impossible_travel", "new_country", "new_network"]],
    ["the same, after a flight", [signIn(NEXT - 1), signIn(NEXT + 1, SYDNEY)], "medium", ["new_country", "new_network"]],
    ["a program never used before", [signIn(NEXT, { device: "curl" })], "low", ["new_device"]],
    ["at three in the morning", [signIn(NEXT, { at: T0 + NEXT * DAY - 5 * HOUR })], "low", ["unusual_hour"]],
    ["an hour later than ever", [signIn(NEXT, { at: T0 + NEXT * DAY + HOUR })], "low", []],
    ["an app never used before", [use({ app: "payroll" })], "low", ["new_app"]],
    ["nine denials in a row", denied(9), "low", []],
    ["ten denials in a row", denied(10), "medium", ["denial_burst"]],
    ["ten denials over an hour", denied(10).map((one, i) => ({ ...one, at: one.at + i * 6 * MINUTE })), "low", []],
    ["two gigabytes in a day", [use({ bytes: 2e9 })], "medium", ["byte_volume"]],
    ["two gigabytes in a day, bit by bit", Array.from({ length: 20 }, (_, i) => use({ bytes: 1e8, at: T0 + NEXT * DAY + i * MINUTE })), "medium", ["byte_volume"]],
    ["a hundred megabytes in a day", [use({ bytes: 1e8 })], "low", []],
    ["five thousand requests in ten minutes", [use({ requests: 5_000 })], "medium", ["request_rate"]],
    ["a second session in use elsewhere at the same time (NIST B-3)", [use({}), use({ sid: "thief", country: "NL", asn: 60_781, at: T0 + NEXT * DAY + HOUR + MINUTE })], "high", ["elsewhere", "new_country", "new_network"]],
    ["the same, with a use between of which no place is known", [use({}), use({ country: undefined, asn: undefined, at: T0 + NEXT * DAY + HOUR + 1 }), use({ country: "NL", asn: 60_781, at: T0 + NEXT * DAY + HOUR + MINUTE })], "high", ["elsewhere", "new_country", "new_network"]],
    ["the session itself carried off", [use({}), use({ country: "NL", asn: 60_781, at: T0 + NEXT * DAY + HOUR + MINUTE })], "high", ["elsewhere", "new_country", "new_network"]],
    ["the phone's network beside the office's", [use({}), use({ asn: 6805, at: T0 + NEXT * DAY + HOUR + MINUTE })], "low", ["new_network"]],
    ["where nothing is known of the place", [signIn(NEXT, { country: undefined, asn: undefined, device: undefined, location: undefined })], "low", []],
  ];
  const both = { live: ["s30", "phone"] };
  const later = (minutes: number): number => T0 + NEXT * DAY + HOUR + minutes * MINUTE;
  const second: readonly (typeof rows)[number][] = [
    ["a second sign-in at the same place while the first is in use (NIST B-3.1)", [use({}), signIn(NEXT, { sid: "phone", at: later(1), ...both })], "low", ["second_session"]],
    ["two sessions in use at the same place", [use({ at: later(-20) }), use({ sid: "phone", ...both }), use({ at: later(10), ...both })], "low", ["second_session"]],
    ["a second sign-in after the first session ended", [use({}), signIn(NEXT, { sid: "phone", at: later(1), live: ["phone"] })], "low", []],
    ["a second sign-in when the first was not used for a while", [use({}), signIn(NEXT, { sid: "phone", at: later(15), ...both })], "low", []],
    ["one session used again and again", [use(both), use({ at: later(1), ...both }), signIn(NEXT, { at: later(2), ...both })], "low", []],
    ["what one session may not, beside another", [use({}), ...denied(1).map((one) => ({ ...one, sid: "phone", at: later(1), ...both }))], "low", []],
  ];
  it.each([...rows, ...second])("%s", (_title, events, level, reasons) => {
    const now = Math.max(...events.map((one) => one.at)) + 1;
    expect(assess(play(events, USUAL), now)).toMatchObject({ level, reasons });
  });

  it("does not hold denials against somebody for ever: those that the first ones led to prolong nothing", () => {
    const first = play(denied(10), USUAL);
    const until = assess(first, T0 + NEXT * DAY + MINUTE)?.until ?? 0;
    const polling = Array.from({ length: 100 }, (_, i): RiskEvent => ({ kind: "denied", at: T0 + NEXT * DAY + MINUTE + i * 30_000, sid: "s30" }));
    expect(assess(play(polling, first), until - 1)).toMatchObject({ level: "medium", until });
  });

  it("counts denials that are told together as what they are", () => {
    const [one] = denied(1);
    expect(assess(play([{ ...(one as RiskEvent), count: 12 }], USUAL), T0 + NEXT * DAY + 1)).toMatchObject({ reasons: ["denial_burst"] });
    expect(assess(play([{ ...(one as RiskEvent), count: 4 }], USUAL), T0 + NEXT * DAY + 1)).toMatchObject({ reasons: [] });
  });

  it("is low while there is nothing to compare with, and unknown of somebody who never came", () => {
    expect(assess(NO_RISK, T0)).toBeUndefined();
    const first = play([signIn(0), signIn(1, SYDNEY), signIn(2, { device: "curl", at: T0 + 2 * DAY - 5 * HOUR })]);
    expect(assess(first, T0 + 2 * DAY)).toMatchObject({ level: "low", reasons: [] });
  });

  it("counts each sign for its own time, and says when that ends", () => {
    const abroad = play([signIn(NEXT, VIENNA)], USUAL);
    const came = T0 + NEXT * DAY;
    expect(assess(abroad, came)).toMatchObject({ level: "medium", until: came + DAY });
    expect(assess(abroad, came + DAY - 1)).toMatchObject({ level: "medium" });
    expect(assess(abroad, came + DAY)).toMatchObject({ level: "low", reasons: [], until: Infinity });
    // What came is usual from then on.
    expect(assess(play([signIn(NEXT + 2, VIENNA)], abroad), came + 2 * DAY)).toMatchObject({ level: "low", reasons: [] });
  });

  it("forgets what did not come again for ninety days", () => {
    expect(assess(play([signIn(NEXT + 95)], USUAL), T0 + (NEXT + 95) * DAY)?.reasons).toContain("new_country");
  });

  it("depends on nothing but the events and their order", () => {
    const events = [signIn(NEXT, VIENNA), use({ bytes: 3e9 }), ...denied(12)];
    expect(play(events, USUAL)).toEqual(play(events, USUAL));
  });

  it("stays small, whatever comes", () => {
    const busy = play(Array.from({ length: 2_000 }, (_, i) => use({ at: T0 + i * MINUTE, sid: `s${i}`, app: `a${i}`, country: `C${i % 200}`, asn: i })), USUAL);
    expect(JSON.stringify(busy).length).toBeLessThan(8_000);
  });
});

describe("what another system reports", () => {
  const word = (value: string, expiresAt?: number) => ({ value, source: "posture:edr", observedAt: at(T0), ...(expiresAt === undefined ? {} : { expiresAt: at(expiresAt) }) });
  const now = T0 + NEXT * DAY;

  it("counts when it is worse than our own, until it ends or is taken back", () => {
    const bad = report(USUAL, word("high", now + HOUR), T0);
    expect(assess(bad, now)).toMatchObject({ level: "high", reasons: ["reported"], until: now + HOUR });
    expect(assess(bad, now + HOUR)).toMatchObject({ level: "low", reasons: [] });
    expect(assess(report(bad, null, now), now)).toMatchObject({ level: "low", reasons: [] });
    // What happened before it was said says nothing of it.
    expect(report(bad, { ...word("low"), observedAt: at(T0 - 1) }, T0)).toBe(bad);
    expect(report(bad, null, T0 - 1)).toBe(bad);
    expect(assess(play(denied(10), report(USUAL, word("low"), T0)), now + MINUTE)).toMatchObject({ level: "medium", reasons: ["denial_burst"] });
  });

  it("counts as the worst when nobody knows the word", () => {
    expect(assess(report(USUAL, word("banana"), T0), now)).toMatchObject({ level: "high", reasons: ["reported"] });
  });

  it("is all that is known of somebody who never came", () => {
    expect(assess(report(NO_RISK, word("low"), T0), now)).toMatchObject({ level: "low" });
  });
});

describe("the signs", () => {
  it("have codes of their own and weights of which no weak one alone is high", () => {
    expect([...SIGNS.map(({ code }) => code), REPORTED].sort()).toEqual([...RISK_REASONS].sort());
    for (const { code, weight } of SIGNS) expect(weight >= 50, code).toBe(code === "impossible_travel");
  });

  it("of which a second session moves no level, whichever others count", () => {
    const others = SIGNS.filter(({ code }) => code !== "second_session");
    const levelOf = (codes: readonly string[]): unknown => assess({ ...USUAL, active: Object.fromEntries(codes.map((code) => [code, T0 + DAY])) }, T0)?.level;
    for (let set = 0; set < 2 ** others.length; set++) {
      const codes = others.filter((_, n) => (set >> n) % 2 === 1).map(({ code }) => code);
      expect(levelOf([...codes, "second_session"]), codes.join()).toBe(levelOf(codes));
    }
  });

  it("say that a second session ended to count once both were not in use for a quarter of an hour", () => {
    const state = play([use({}), signIn(NEXT, { sid: "phone", at: T0 + NEXT * DAY + HOUR + MINUTE, live: ["s30", "phone"] })], USUAL);
    const until = assess(state, T0 + NEXT * DAY + HOUR + 2 * MINUTE)?.until ?? 0;
    expect(until).toBe(T0 + NEXT * DAY + HOUR + 16 * MINUTE);
    expect(assess(state, until)?.reasons).toEqual([]);
  });
});
