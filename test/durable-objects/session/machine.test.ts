import { describe, expect, it } from "vitest";
import { at } from "../../../core/time.ts";
import { NOTHING_CUT } from "../../../durable-objects/cut-report.ts";
import { LEASE_HOLD_MS, LEASE_WAIT_MS } from "../../../durable-objects/lease-terms.ts";
import * as machine from "../../../durable-objects/session/machine.ts";
import type { EndReason } from "../../../durable-objects/session/rpc.ts";
import type { CodeRecord } from "../../../identity/one-time-code.ts";
import { BERLIN, CRM, credential, hash, HOUR, question, RECEIPT, SID, signIn, T0, WIKI } from "../samples.ts";

const fresh = (): machine.SessionState => machine.create(SID, signIn(), T0);
const bytes = (n: number): Uint8Array => new Uint8Array(32).fill(n);

describe("a session's end is exact, whatever alarms do (class H, row 64)", () => {
  const busyUntilEnd = machine.touch(fresh(), T0 + 8 * HOUR - 1_000);
  const rows: readonly [string, machine.SessionState, number, EndReason | undefined][] = [
    ["1 ms before its end", busyUntilEnd, T0 + 8 * HOUR - 1, undefined],
    ["at its end", busyUntilEnd, T0 + 8 * HOUR, "expired"],
    ["1 ms after its end", busyUntilEnd, T0 + 8 * HOUR + 1, "expired"],
    ["1 ms before it was idle for too long", fresh(), T0 + HOUR - 1, undefined],
    ["when it was idle for too long", fresh(), T0 + HOUR, "idle"],
    ["1 ms after that", fresh(), T0 + HOUR + 1, "idle"],
    ["an hour after the user's last byte, not after the sign-in (P19)", machine.touch(fresh(), T0 + 30_000), T0 + HOUR, undefined],
  ];
  it.each(rows)("%s", (_title, state, now, reason) => {
    expect(machine.endedBecause(state, now)).toBe(reason);
    expect(machine.isLive(state, now)).toBe(reason === undefined);
  });

  it("activity never moves backwards, so an old report does not end a session", () => {
    const state = machine.touch(fresh(), T0 + 5_000);
    expect(machine.touch(state, T0 + 1_000)).toBe(state);
  });
});

describe("a credential opens its own audience only", () => {
  const host = credential();
  const anywhere = credential({ kind: "service", audience: "any", hash: hash("svc") });
  const operator = credential({ kind: "operator", audience: "operator", hash: hash("op"), expiresAt: T0 + 60_000 });
  const state: machine.SessionState = { ...fresh(), credentials: [host, anywhere, operator] };
  const rows: readonly [string, string, string, number, boolean][] = [
    ["its host", host.audience, host.hash, T0, true],
    ["another host", "host:crm.access.example.com", host.hash, T0, false],
    ["the launcher with an app's cookie", "host:access.example.com", host.hash, T0, false],
    ["its host with another secret", host.audience, hash("other"), T0, false],
    ["its host with a prefix of its hash", host.audience, host.hash.slice(0, -1), T0, false],
    ["an empty hash", host.audience, "", T0, false],
    ["any audience, where it says any", "app:crm", anywhere.hash, T0, true],
    ["a cookie's audience with an operator's secret", host.audience, operator.hash, T0, false],
    ["1 ms before the credential's own end", "operator", operator.hash, T0 + 59_999, true],
    ["at the credential's own end", "operator", operator.hash, T0 + 60_000, false],
    ["1 ms after the credential's own end", "operator", operator.hash, T0 + 60_001, false],
  ];
  it.each(rows)("%s", (_title, audience, secret, now, opens) => {
    expect(machine.holds(state, audience, secret, now)).toBe(opens);
  });

  it("a new cookie of a host replaces the old one of that host, and no other", () => {
    const other = credential({ audience: "host:crm.access.example.com", hash: hash("crm") });
    const next = machine.addCredential({ ...state, credentials: [host, other] }, credential({ hash: hash("new") }), T0);
    expect(next?.credentials.map((one) => one.hash)).toEqual([hash("crm"), hash("new")]);
  });

  it("a session holds a bounded number of credentials; those that ran out make room", () => {
    const many = Array.from({ length: machine.MAX_CREDENTIALS_COUNT }, (_, i) => credential({ audience: `host:h${i}`, expiresAt: T0 + 1_000 }));
    const full = { ...fresh(), credentials: many };
    expect(machine.addCredential(full, credential(), T0)).toBeUndefined();
    expect(machine.addCredential(full, credential(), T0 + 1_000)?.credentials).toHaveLength(1);
  });
});

describe("a hand-off code (M19)", () => {
  const record: CodeRecord = { codeHash: bytes(1), host: "wiki.access.example.com", nonceHash: bytes(2), expiresAt: at(T0 + 30_000), redeemed: false };
  const shown = { codeHash: bytes(1), host: "wiki.access.example.com", nonceHash: bytes(2) };
  const minted = machine.mintCode(fresh(), record, T0);
  const rows: readonly [string, Partial<typeof shown>, number, { fits: boolean; spent: boolean }][] = [
    ["fits its host and browser", {}, T0 + 29_999, { fits: true, spent: true }],
    ["at its end fits nowhere", {}, T0 + 30_000, { fits: false, spent: true }],
    ["at another host is spent", { host: "crm.access.example.com" }, T0, { fits: false, spent: true }],
    ["in another browser is spent", { nonceHash: bytes(3) }, T0, { fits: false, spent: true }],
    ["guessed wrong spends nothing", { codeHash: bytes(9) }, T0, { fits: false, spent: false }],
  ];
  it.each(rows)("%s", (_title, change, now, wanted) => {
    const redeemed = machine.redeemCode(minted, { ...shown, ...change }, now);
    expect(redeemed.fits).toBe(wanted.fits);
    expect(machine.redeemCode(redeemed.state, shown, T0).fits).toBe(!wanted.spent);
  });

  it("the oldest gives way when too many were minted", () => {
    let state = fresh();
    for (let i = 0; i <= machine.MAX_CODES_COUNT; i++) state = machine.mintCode(state, { ...record, codeHash: bytes(i) }, T0);
    expect(state.codes).toHaveLength(machine.MAX_CODES_COUNT);
    expect(machine.redeemCode(state, { ...shown, codeHash: bytes(0) }, T0).fits).toBe(false);
    expect(machine.redeemCode(state, { ...shown, codeHash: bytes(1) }, T0).fits).toBe(true);
  });
});

describe("leases", () => {
  it("the grantor waits longer than the holder trusts, by more than the clocks' skew (M9)", () => {
    expect(LEASE_WAIT_MS - LEASE_HOLD_MS).toBeGreaterThanOrEqual(5_000);
  });

  it("one instance has one lease; asking again moves its end (M1)", () => {
    const once = machine.lease(fresh(), question({ recorded: true }), T0);
    const twice = machine.lease(once, question({ app: CRM, recorded: true }), T0 + 10_000);
    expect(twice.leases).toEqual([{ site: BERLIN, lane: 0, nonce: "instance-1", holds: "sockets", until: T0 + 10_000 + LEASE_WAIT_MS }]);
    expect(twice.granted).toEqual([WIKI, CRM]);
  });

  it.each([
    [true, [WIKI]],
    [false, []],
  ])("an app counts as granted only once its record is written: %s (P21)", (recorded, granted) => {
    expect(machine.lease(fresh(), question({ recorded }), T0).granted).toEqual(granted);
  });

  it("a lease that once held a body says so until it ran out (M6)", () => {
    const body = machine.lease(fresh(), question({ holds: "body" }), T0);
    expect(machine.lease(body, question({ holds: "sockets" }), T0 + 1).leases[0]?.holds).toBe("body");
  });

  it("a replaced instance keeps its lease until that ran out (M6)", () => {
    const old = machine.lease(fresh(), question({ nonce: "old" }), T0);
    const both = machine.lease(old, question({ nonce: "new" }), T0 + LEASE_WAIT_MS - 1);
    expect(both.leases.map((one) => one.nonce)).toEqual(["old", "new"]);
    const one = machine.lease(old, question({ nonce: "new" }), T0 + LEASE_WAIT_MS);
    expect(one.leases.map((each) => each.nonce)).toEqual(["new"]);
  });

  it("a lane's word on the user's last byte counts, but none from the future (M9, P19)", () => {
    expect(machine.lease(fresh(), question({ lastActiveAt: T0 + 500 }), T0 + 1_000).lastActiveAt).toBe(T0 + 500);
    expect(machine.lease(fresh(), question({ lastActiveAt: T0 + 99_000 }), T0 + 1_000).lastActiveAt).toBe(T0 + 1_000);
  });

  const renewal = (facts: machine.SessionState["facts"]): Parameters<typeof machine.refresh>[1] => ({ facts, display: { sub: "ann", email: "new@example.com" }, endsAt: T0 + 48 * HOUR });

  it("a newer sign-in begins the session anew, under the name that it gave (P3, P19)", () => {
    const { state } = machine.refresh(fresh(), renewal(fresh().facts), T0 + 5);
    expect([state.startedAt, state.endsAt, state.display.email]).toEqual([T0 + 5, T0 + 48 * HOUR, "new@example.com"]);
  });

  it("facts that only add move no epoch and push nothing (M5)", () => {
    const mfa = { value: { methods: ["otp"] }, source: "corp", observedAt: at(T0 + 1) };
    const { state, narrowed } = machine.refresh(fresh(), renewal({ ...fresh().facts, mfa }), T0 + 1);
    expect([narrowed, state.epoch]).toEqual([false, 1]);
    expect(machine.snapshot(state).facts).toHaveProperty("mfa");
    expect(machine.end(state, "revoked", RECEIPT, T0 + 2)?.epoch).toBe(2);
  });

  it.each([
    ["a lost group", { groups: { value: [], source: "corp", observedAt: at(T0 + 1) } }],
    ["groups that are no longer told", {}],
  ])("M5: %s is a narrowing: the fact is gone, and the epoch is new", (_name, groups) => {
    const groupsBefore = { groups: { value: ["corp:staff"], source: "corp", observedAt: at(T0) } };
    const mfa = { value: { methods: ["otp"] }, source: "corp", observedAt: at(T0) };
    const before = { ...fresh(), facts: { ...fresh().facts, ...groupsBefore, mfa } };
    const { groups: _gone, ...rest } = fresh().facts;
    const { state, narrowed } = machine.refresh(before, renewal({ ...rest, ...groups }), T0 + 1);
    expect([narrowed, state.epoch]).toEqual([true, 2]);
    expect(state.facts["groups"]?.value ?? []).toEqual([]);
    // A factor that was shown stays shown; its age bounds it.
    expect(state.facts["mfa"]).toEqual(mfa);
  });
});

describe("ending", () => {
  const leased = machine.lease(machine.lease(fresh(), question(), T0), question({ lane: 1, nonce: "lane-1" }), T0 + 20_000);

  it("moves the epoch and takes the list of lanes in one step; nothing opens it any more (M1)", () => {
    const ended = machine.end(leased, "revoked", RECEIPT, T0 + 25_000);
    expect(ended).toMatchObject({ epoch: 2, ended: { reason: "revoked", at: T0 + 25_000 }, credentials: [], codes: [], leases: [] });
    expect(ended?.ending?.waiting.map((one) => one.lane)).toEqual([0, 1]);
    expect(ended && machine.holds(ended, credential().audience, credential().hash, T0 + 25_000)).toBe(false);
  });

  it("tells a lane whose lease ran out too: a quiet socket there is still open (M4)", () => {
    const later = machine.lease(leased, question({ lane: 1, nonce: "lane-1" }), T0 + 40_000);
    const ended = machine.end(later, "revoked", RECEIPT, T0 + 45_000);
    expect(ended?.ending?.waiting.map((one) => one.lane)).toEqual([0, 1]);
  });

  it("names every lane that did not confirm, also one that trusted nothing any more: its streams are not counted", () => {
    const ended = machine.end(leased, "revoked", RECEIPT, T0 + LEASE_WAIT_MS) ?? leased;
    const one = machine.confirm(ended, { site: BERLIN, lane: 0 }, "lease_over", T0 + LEASE_WAIT_MS);
    const both = machine.confirm(one, { site: BERLIN, lane: 1 }, "lease_over", T0 + 50_000);
    expect(both.ending?.report.unconfirmed).toEqual([
      { site: BERLIN, lane: 0, leaseEndsAt: T0 + LEASE_WAIT_MS },
      { site: BERLIN, lane: 1, leaseEndsAt: T0 + 20_000 + LEASE_WAIT_MS },
    ]);
    expect(both.ending?.waiting).toEqual([]);
  });

  it("happens once: the first reason stays", () => {
    const ended = machine.end(leased, "signed_out", "self", T0 + 1);
    expect(ended && machine.end(ended, "revoked", RECEIPT, T0 + 2)).toBeUndefined();
    expect(ended && machine.endedBecause(ended, T0 + 100 * HOUR)).toBe("signed_out");
  });

  it("adds up what the lanes confirm; a second word of a lane counts nothing", () => {
    const ended = machine.end(leased, "revoked", RECEIPT, T0 + 25_000) ?? leased;
    const one = machine.confirm(ended, { site: BERLIN, lane: 0 }, { ...NOTHING_CUT, found: 2, closed: 2 }, T0 + 25_010);
    const again = machine.confirm(one, { site: BERLIN, lane: 0 }, { ...NOTHING_CUT, found: 2, closed: 2 }, T0 + 25_020);
    expect(again).toBe(one);
    const both = machine.confirm(one, { site: BERLIN, lane: 1 }, { ...NOTHING_CUT, found: 1, closed: 1 }, T0 + 25_300);
    expect(both.ending?.report).toMatchObject({ found: 3, closed: 3, slowestMs: 300, unconfirmed: [] });
  });

  it("a state without an ending is left as it is", () => {
    expect(machine.confirm(leased, { site: BERLIN, lane: 0 }, NOTHING_CUT, T0)).toBe(leased);
  });
});

describe("what the person's risk hears of a session's use", () => {
  const MINUTE = 60_000;

  it("is a new app, much that moved, and every ten minutes that it goes on; nothing in between", () => {
    let state = fresh();
    const told: [number, number | undefined][] = [];
    const used = (minute: number, more: object = {}): void => {
      const noted = machine.noteUse(state, question({ usedBytes: 1_000, requests: 1, ...more }), T0 + minute * MINUTE);
      state = noted.state;
      if (noted.event !== undefined) told.push([minute, noted.event.requests]);
    };
    for (const minute of [0, 1, 2]) used(minute);
    used(3, { app: CRM });
    used(4, { usedBytes: 10_000_000 });
    for (let minute = 5; minute <= 24; minute++) used(minute);
    used(90);
    expect(told).toEqual([[0, 1], [3, 3], [4, 1], [14, 10], [24, 10], [90, 1]]);
  });
});
