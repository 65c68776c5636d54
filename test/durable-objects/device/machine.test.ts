import { beforeAll, describe, expect, it } from "vitest";
import type { SessionId } from "../../../core/ids.ts";
import { at } from "../../../core/time.ts";
import * as machine from "../../../durable-objects/device/machine.ts";
import { type News, NO_SIGNALS, takeNews } from "../../../durable-objects/signal-facts.ts";
import { generateConnectorKey } from "../../../identity/connector-proof.ts";
import type { PublicJwk } from "../../../identity/keys.ts";
import { deviceIdOf, type PostureFacts, type PostureReport } from "../../../identity/posture-report.ts";
import { ANN, HOUR, sidOf, T0 } from "../samples.ts";

const GOOD: PostureFacts = { disk_encrypted: true, firewall: true, os: "linux" };
let key: PublicJwk;
beforeAll(async () => {
  key = (await generateConnectorKey(crypto.subtle)).publicJwk;
});

const fresh = (): machine.DeviceState => machine.enrolled({ key, owner: ANN, name: "laptop", sid: sidOf(1) }, T0);
const report = (more: Partial<PostureReport> = {}): PostureReport => ({ device: deviceIdOf(key), seq: 1, at: T0, previous: "", facts: GOOD, ...more });
/** After a first report at T0, which is stored under "h1". */
function reported(): machine.DeviceState {
  const judged = machine.judge(fresh(), fresh().last, report(), "h1", T0);
  if (judged.kind !== "counted") throw new Error(judged.kind);
  return { ...judged.state, owed: false };
}
const judge = (more: Partial<PostureReport>, hash = "h2", now = T0 + 60_000, state = reported(), last = state.last): machine.Judged => machine.judge(state, last, report({ seq: 2, at: now, previous: "h1", ...more }), hash, now);
const factOf = (news: News, name: string): unknown => news[`device.${name}`]?.value;

describe("a report (P15, rows 89 and 90)", () => {
  const MINUTE = 60_000;
  const now = T0 + 60_000;
  const rows: readonly [string, Partial<PostureReport>, string, object][] = [
    ["the next one counts, and an unchanged one is not stored", {}, "h2", { kind: "counted", store: false, changed: false }],
    ["a changed one is stored and owed to the sessions", { facts: { ...GOOD, firewall: false } }, "h2", { kind: "counted", store: true, changed: true }],
    ["one that leaves a fact out is a changed one", { facts: { disk_encrypted: true, os: "linux" } }, "h2", { kind: "counted", store: true, changed: true }],
    ["one that announces a link is stored, and nothing changed", { bind: "x" }, "h2", { kind: "counted", store: true, changed: false }],
    ["numbers may be left out: reports are lost", { seq: 9 }, "h2", { kind: "counted" }],
    ["the very same again was heard", { seq: 1, previous: "", at: T0 }, "h1", { kind: "repeated" }],
    ["5 minutes old counts", { at: now - 5 * MINUTE }, "h2", { kind: "counted" }],
    ["older is refused, and is no contradiction", { at: now - 5 * MINUTE - 1 }, "h2", { kind: "refused", fault: "stale" }],
    ["an old one with an old number is a replay, not a clone", { seq: 1, at: now - HOUR }, "h0", { kind: "refused", fault: "stale" }],
    ["60 seconds ahead counts", { at: now + MINUTE }, "h2", { kind: "counted" }],
    ["further ahead is refused", { at: now + MINUTE + 1 }, "h2", { kind: "refused", fault: "early" }],
    ["the same number with other words: two machines", { seq: 1 }, "h2", { kind: "refused", fault: "cloned" }],
    ["a lower number than the last: two machines", { seq: 0 }, "h2", { kind: "refused", fault: "cloned" }],
    ["a higher number that does not know what is stored: two machines", { seq: 9, previous: "h0" }, "h2", { kind: "refused", fault: "cloned" }],
    ["one that begins anew: two machines", { seq: 1, previous: "" }, "h9", { kind: "refused", fault: "cloned" }],
  ];
  it.each(rows)("%s", (_title, more, hash, expected) => {
    expect(judge(more, hash, now)).toMatchObject(expected);
  });

  it("two machines with one key contradict each other by the first report that is stored, whoever sends it", () => {
    // Both know "h1"; one finds something else, which is stored under "h2".
    const other = judge({ facts: {} });
    if (other.kind !== "counted") throw new Error(other.kind);
    for (const seq of [2, 3, 30]) expect(machine.judge(other.state, other.state.last, report({ seq, at: now, previous: "h1" }), "h3", now)).toMatchObject({ fault: "cloned" });
  });

  it("that is unchanged is stored again once half its life is over, so that a clone is found by then", () => {
    const life = machine.REPORT_LIFE_MS;
    expect(judge({}, "h2", T0 + life / 2 - 1)).toMatchObject({ store: false });
    expect(judge({}, "h2", T0 + life / 2)).toMatchObject({ store: true, changed: false });
  });

  it("is found never before the one before it, whatever the device's clock says: a newer no is never taken for an older one", () => {
    const ahead = judge({ at: now + 59_000 });
    if (ahead.kind !== "counted") throw new Error(ahead.kind);
    expect(ahead.last.at).toBe(now);
    const back = machine.judge(ahead.state, ahead.last, report({ seq: 3, at: now - 200_000, previous: "h1", facts: { disk_encrypted: false } }), "h3", now + 1_000);
    expect(back).toMatchObject({ kind: "counted", last: { at: now } });
  });

  it("counts no more names than a device may ever have", () => {
    const many = Object.fromEntries(Array.from({ length: machine.MAX_NAMES_COUNT }, (_, n) => [`n${n}`, true]));
    const judged = judge({ facts: many });
    if (judged.kind !== "counted") throw new Error(judged.kind);
    expect(judged.state.names).toHaveLength(machine.MAX_NAMES_COUNT);
    expect(Object.keys(judged.state.facts)).toHaveLength(machine.MAX_NAMES_COUNT - Object.keys(GOOD).length);
  });
});

describe("what sessions are told", () => {
  it("is all of it, each fact with its source and its end", () => {
    const state = reported();
    const news = machine.newsOf(state, state.last, T0 + 1_000);
    const id = deviceIdOf(key);
    expect(news).toEqual({
      "device.id": { value: id, source: "postern", observedAt: T0, expiresAt: T0 + 24 * HOUR },
      "device.registered": { value: true, source: "postern", observedAt: T0, expiresAt: T0 + 24 * HOUR },
      "device.owner": { value: ANN, source: "postern", observedAt: T0, expiresAt: T0 + 24 * HOUR },
      "device.managed": { value: false, source: "postern", observedAt: T0, expiresAt: T0 + 24 * HOUR },
      "device.tags": { value: [], source: "operator", observedAt: T0, expiresAt: T0 + 24 * HOUR },
      "device.disk_encrypted": { value: true, source: `device:${id}`, observedAt: T0, expiresAt: T0 + machine.REPORT_LIFE_MS },
      "device.firewall": { value: true, source: `device:${id}`, observedAt: T0, expiresAt: T0 + machine.REPORT_LIFE_MS },
      "device.os": { value: "linux", source: `device:${id}`, observedAt: T0, expiresAt: T0 + machine.REPORT_LIFE_MS },
    });
  });

  it("takes back what the device no longer says (row 90)", () => {
    const judged = judge({ facts: { os: "linux" } });
    if (judged.kind !== "counted") throw new Error(judged.kind);
    expect(machine.newsOf(judged.state, judged.last, T0)).toMatchObject({ "device.disk_encrypted": null, "device.firewall": null });
  });

  const verdict = (name: string, value: string | boolean, observedAt = T0, expiresAt = T0 + HOUR): News => ({ [name]: { value, source: "posture:mdm", observedAt: at(observedAt), expiresAt: at(expiresAt) } });
  const heard = (...all: readonly News[]): machine.DeviceState => all.reduce((state, news) => machine.heard(state, news, T0, T0) ?? state, reported());
  const rows: readonly [string, machine.DeviceState | (() => machine.DeviceState), number, string, unknown][] = [
    ["another system adds what the device does not say", () => heard(verdict("compliant", true)), T0, "compliant", true],
    ["what both say counts", () => heard(verdict("disk_encrypted", true)), T0, "disk_encrypted", true],
    ["two who contradict each other: nobody can say (P1)", () => heard(verdict("disk_encrypted", false)), T0, "disk_encrypted", undefined],
    ["a verdict ends", () => heard(verdict("compliant", true)), T0 + HOUR, "compliant", undefined],
    ["and then the device's own word counts again", () => heard(verdict("disk_encrypted", false)), T0 + HOUR, "disk_encrypted", true],
    ["a verdict that comes late does not undo a newer one", () => heard(verdict("compliant", false), verdict("compliant", true, T0 - 1)), T0, "compliant", false],
    ["a verdict can be taken back", () => heard(verdict("compliant", true), { compliant: null }), T0, "compliant", undefined],
    ["an MDM attests that the company manages it", () => heard(verdict("managed", true)), T0, "managed", true],
    ["so does an operator", () => ({ ...reported(), managed: true }), T0, "managed", true],
    ["and when they disagree, nobody can say", () => ({ ...heard(verdict("managed", true)), managed: false }), T0, "managed", undefined],
    ["tags are an operator's", () => ({ ...reported(), tags: ["lab"] }), T0, "tags", ["lab"]],
  ];
  it.each(rows)("%s", (_title, state, now, name, expected) => {
    const made = typeof state === "function" ? state() : state;
    expect(factOf(machine.newsOf(made, made.last, now), name)).toEqual(expected);
  });

  it("has an end, whoever said it, so that it goes when the session is another device's", () => {
    const state = heard({ compliant: { value: true, source: "posture:feed", observedAt: at(T0) } });
    const news = machine.newsOf(state, state.last, T0);
    expect(news["device.compliant"]).toEqual({ value: true, source: "posture:feed", observedAt: T0, expiresAt: T0 + 30 * 24 * HOUR });
    expect(Object.values(news).filter((fact) => fact !== null && fact.expiresAt === undefined)).toEqual([]);
  });

  it("finds place for others' verdicts on a device that used up its names, and what finds none is refused whole", () => {
    const many = Object.fromEntries(Array.from({ length: machine.MAX_NAMES_COUNT }, (_, n) => [`n${n}`, true]));
    const judged = judge({ facts: many });
    if (judged.kind !== "counted") throw new Error(judged.kind);
    let state: machine.DeviceState | undefined = judged.state;
    const say = (news: News): machine.DeviceState | undefined => (state === undefined ? undefined : machine.heard(state, news, T0, T0));
    for (let n = 0; n < machine.MAX_OTHERS_NAMES_COUNT; n++) state = say(verdict(`m${n}`, true));
    // What is known already, what is taken back, and what always finds place.
    for (const news of [verdict("m0", false), verdict("n3", true), { never: null }]) state = say(news);
    expect(say({ ...verdict("compliant", false), ...verdict("one_more", true) })).toBeUndefined();
    state = say({ ...verdict("compliant", false), ...verdict("managed", true) });
    if (state === undefined) throw new Error("refused");
    const news = machine.newsOf(state, state.last, T0);
    expect(["m0", "m1", "compliant", "managed"].map((name) => factOf(news, name))).toEqual([false, true, false, true]);
    // The machine gains no place by it, and loses none that it has.
    const again = machine.judge(state, state.last, report({ seq: 3, at: T0 + 60_000, previous: "h2", facts: { ...many, n99: true } }), "h3", T0 + 60_000);
    if (again.kind !== "counted") throw new Error(again.kind);
    expect(again.state.names).toEqual(state.names);
    // A session takes all of it in, also when all of it was taken back before.
    const none = Object.fromEntries(Object.keys(news).map((name) => [name, null]));
    expect(Object.keys(takeNews(takeNews(NO_SIGNALS, none, T0 - 1, T0), news, T0, T0).facts).length).toBeGreaterThan(machine.MAX_OTHERS_NAMES_COUNT);
  });

  it.each(["revoked", "cloned"] as const)("of a device that is %s is that it is none, and nothing else (row 89)", (why) => {
    const state = machine.bar(heard(verdict("compliant", true), verdict("managed", true)), why);
    const news = machine.newsOf(state, state.last, T0);
    expect(news["device.registered"]).toEqual({ value: false, source: "postern", observedAt: T0 });
    expect(Object.entries(news).filter(([name, fact]) => name !== "device.registered" && fact !== null)).toEqual([]);
    expect(Object.keys(news)).toEqual(expect.arrayContaining(["device.id", "device.owner", "device.tags", "device.managed", "device.disk_encrypted", "device.compliant"]));
    expect(machine.bar(state, "revoked").barred).toBe(why);
  });
});

describe("bound sessions", () => {
  it("are counted once and bounded", () => {
    let state = fresh();
    for (let n = 0; n < machine.MAX_SESSIONS_COUNT; n++) state = machine.bind(state, sidOf(n)) ?? state;
    expect(state.sessions).toHaveLength(machine.MAX_SESSIONS_COUNT);
    expect(machine.bind(state, sidOf(0))).toBe(state);
    expect(machine.bind(state, sidOf(99))).toBeUndefined();
    expect(machine.unbind(state, [sidOf(0)]).sessions).not.toContain(sidOf(0) as SessionId);
  });
});
