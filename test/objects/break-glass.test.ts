/** The break-glass account's seal: two people or a clock, once, on record before it gives anything, whatever crashes and whoever tries. */
import { abortAllDurableObjects, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BREAK_GLASS_SERVICE, type SessionId } from "../../core/ids.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../core/time.ts";
import { Audit } from "../../durable-objects/audit/audit.ts";
import { GLASS_AGAIN_MS, GLASS_READY_MS, RECORDED_TRIES_COUNT, SOURCE_TRIES_COUNT } from "../../durable-objects/control/break-glass.ts";
import type { GlassAnswer, GlassState } from "../../durable-objects/control/rpc.ts";
import { Session } from "../../durable-objects/session/session.ts";
import { User } from "../../durable-objects/user/user.ts";
import { objects, outcome, randomText, sessionOf, setUp, signedIn, stubs, userId, wipe } from "./deployment.ts";

// A stub does not outlive a reset.
const control = (): ReturnType<typeof objects.CONTROL.getByName> => objects.CONTROL.getByName("control");
const [A, B, C] = [randomText(32), randomText(32), randomText(32)] as const;
const DELAY = 4 * HOUR_MS;

let clock = 0;
/** Moves the one clock that all objects read. */
function later(ms: number): void {
  clock += ms;
  vi.spyOn(Date, "now").mockReturnValue(clock);
}

beforeEach(async () => {
  await setUp();
  clock = Date.now();
  later(0);
});
afterEach(wipe);

const seal = (codes: readonly string[], delayMs = 0): Promise<GlassAnswer> => control().breakGlass({ act: "seal", codes, delayMs, by: "internal" });
const cancel = (): Promise<GlassAnswer> => control().breakGlass({ act: "cancel", by: "internal" });
/** The token is made of the codes by the edge; here its id stands for them. */
const tokens = new Map<string, { tokenId: string; hash: string }>();
function open(codes: readonly string[], source = "192.0.2.1"): Promise<GlassAnswer> {
  const key = [...codes].sort().join();
  const token = tokens.get(key) ?? { tokenId: randomText(16), hash: randomText(32) };
  tokens.set(key, token);
  return control().breakGlass({ act: "open", codes, source, ...token, expiresAt: Date.now() + HOUR_MS });
}
const state = async (): Promise<GlassState> => {
  const shown = await control().breakGlass({ act: "show" });
  if (!shown.ok) throw new Error(shown.code);
  return shown.state;
};
const refused = { ok: false, code: "refused" };
const glassTokens = async (): Promise<number> => (await control().services()).filter(({ name }) => name === BREAK_GLASS_SERVICE).length;
const liveSessions = async (): Promise<readonly SessionId[]> => {
  const all = await objects.USER.getByName(`service:${BREAK_GLASS_SERVICE}`).sessions();
  const live = await Promise.all(all.map(async (sid) => ((await sessionOf(sid).isLive()) ? [sid] : [])));
  return live.flat();
};
const acts = async (): Promise<unknown[]> => {
  const records = await objects.AUDIT.getByName("control").since(0, 1_000);
  return records.filter(({ kind }) => kind === "break_glass").map(({ data }) => data["act"]);
};

describe("a seal for two people", () => {
  it("opens by both codes together, whichever comes first, and says until when", async () => {
    expect(await seal([A, B])).toMatchObject({ ok: true, state: { people: 2, delayMs: 0, sealedBy: "internal" } });
    const opened = await open([B, A]);
    expect(opened).toMatchObject({ ok: true, state: { openUntil: expect.any(Number) as number } });
    expect((await state()).openUntil).toBe(opened.ok ? opened.state.openUntil : 0);
    expect(await liveSessions()).toHaveLength(1);
    expect(await acts()).toEqual(["seal", "open"]);
  });

  it.each<[string, readonly string[]]>([
    ["one code", [A]],
    ["one code twice", [A, A]],
    ["one code and another text", [A, C]],
    ["both and a third", [A, B, C]],
    ["none", []],
  ])("does not open by %s", async (_, codes) => {
    await seal([A, B]);
    expect(await open(codes)).toEqual(refused);
    expect(await glassTokens()).toBe(0);
    expect(await acts()).toEqual(["seal", "refused"]);
    expect((await state()).people).toBe(2);
  });

  it("is one answer with no seal, a cancelled seal and a seal of other codes", async () => {
    expect(await open([A, B])).toEqual(refused);
    await seal([A, B]);
    await cancel();
    expect(await open([A, B])).toEqual(refused);
    await seal([B, C]);
    expect(await open([A, B])).toEqual(refused);
  });

  it("of fifty that open at a time there is one record, one token, one session", async () => {
    await seal([A, B]);
    const all = await Promise.all(Array.from({ length: 50 }, (_, n) => open([A, B], `192.0.2.${n}`)));
    const until = all.map((one) => (one.ok ? one.state.openUntil : undefined));
    expect(new Set(until).size).toBe(1);
    expect(until[0]).toBeGreaterThan(Date.now());
    expect(await glassTokens()).toBe(1);
    expect(await liveSessions()).toHaveLength(1);
    expect((await acts()).filter((act) => act === "open")).toHaveLength(1);
  });

  it("gives the same token once more while the answer may have been lost, then nothing: it has to be made anew", async () => {
    await seal([A, B]);
    const first = await open([A, B]);
    later(GLASS_AGAIN_MS - 1_000);
    expect(await open([A, B])).toEqual(first);
    expect(await acts()).toEqual(["seal", "open", "open_again"]);
    later(2_000);
    expect(await open([A, B])).toEqual(refused);
    expect(await glassTokens()).toBe(1);
    expect((await state()).people).toBeUndefined();
    await seal([C, B]);
    expect(await open([B, C])).toMatchObject({ ok: true });
    expect(await glassTokens()).toBe(2);
  });

  it("stays broken after it was closed, and closing answers with a receipt", async () => {
    await seal([A, B]);
    await open([A, B]);
    expect(await control().revoke({ kind: "service", id: BREAK_GLASS_SERVICE, by: "internal" })).toMatchObject({ ok: true, receipt: { complete: true } });
    expect(await liveSessions()).toEqual([]);
    expect((await state()).openUntil).toBeUndefined();
    expect(await open([A, B])).toEqual(refused);
  });
});

describe("a seal behind a clock", () => {
  it("starts the clock, says how long, and opens when it ran out", async () => {
    await seal([A], DELAY);
    const started = await open([A]);
    expect(started).toEqual({ ok: true, state: { opensAt: clock + DELAY } });
    later(DELAY - 1);
    expect(await open([A])).toEqual(started);
    expect(await glassTokens()).toBe(0);
    expect(await state()).toMatchObject({ opensAt: clock + 1, delayMs: DELAY });
    later(1);
    expect(await open([A])).toMatchObject({ ok: true, state: { openUntil: clock + HOUR_MS } });
    expect(await acts()).toEqual(["seal", "clock_started", "too_early", "open"]);
  });

  it("of twenty that start it at a time one clock runs", async () => {
    await seal([A], DELAY);
    const all = await Promise.all(Array.from({ length: 20 }, (_, n) => open([A], `192.0.2.${n}`)));
    expect(new Set(all.map((one) => JSON.stringify(one))).size).toBe(1);
  });

  it("is void once it was cancelled, whatever the clock says", async () => {
    await seal([A], DELAY);
    await open([A]);
    expect(await cancel()).toEqual({ ok: true, state: {} });
    later(DELAY);
    expect(await open([A])).toEqual(refused);
    expect(await acts()).toEqual(["seal", "clock_started", "cancel", "refused"]);
  });

  it("that ran out and was forgotten has to run again", async () => {
    await seal([A], DELAY);
    await open([A]);
    later(DELAY + GLASS_READY_MS);
    expect((await state()).opensAt).toBeUndefined();
    expect(await open([A])).toEqual({ ok: true, state: { opensAt: clock + DELAY } });
  });

  it("counts on through the loss of its object", async () => {
    await seal([A], DELAY);
    await open([A]);
    await evictDurableObject(stubs.CONTROL.getByName("control"));
    expect(await state()).toMatchObject({ opensAt: clock + DELAY });
  });
});

describe("the record comes first", () => {
  it("what cannot be recorded does not open, starts no clock and makes no seal; then it does", async () => {
    await seal([A, B]);
    const spy = vi.spyOn(Audit.prototype, "append").mockRejectedValue(new Error("disk"));
    expect(await outcome(() => open([A, B]))).toBe("failed");
    expect(await outcome(() => seal([C], DELAY))).toBe("failed");
    expect(await glassTokens()).toBe(0);
    expect(await state()).toMatchObject({ people: 2 });
    spy.mockRestore();
    expect(await open([A, B])).toMatchObject({ ok: true });
    expect(await glassTokens()).toBe(1);
  });

  it("a seal that is cancelled while its opening is recorded stays shut", async () => {
    await seal([A, B]);
    const append = Reflect.get(Audit.prototype, "append") as Audit["append"];
    let cancelled: GlassAnswer | undefined;
    vi.spyOn(Audit.prototype, "append").mockImplementation(async function (this: Audit, ...args) {
      if (args[2].some(({ kind, data }) => kind === "break_glass" && typeof data === "object" && (data as { act?: unknown }).act === "open")) cancelled = await cancel();
      return append.apply(this, args);
    });
    expect((await open([A, B])).ok).toBe(false);
    expect(cancelled?.ok).toBe(true);
    vi.restoreAllMocks();
    expect([await glassTokens(), (await liveSessions()).length, (await state()).people]).toEqual([0, 0, undefined]);
  });
});

describe("a crash between the steps neither loses nor doubles it", () => {
  it("after the seal was broken and before the service was signed in: the same codes get the one token", async () => {
    await seal([A, B]);
    vi.spyOn(User.prototype, "signIn").mockRejectedValue(new Error("gone"));
    expect(await outcome(() => open([A, B]))).toBe("failed");
    vi.restoreAllMocks();
    later(0);
    expect([await glassTokens(), (await liveSessions()).length]).toEqual([1, 0]);
    await abortAllDurableObjects();
    expect(await open([A, B])).toMatchObject({ ok: true });
    expect([await glassTokens(), (await liveSessions()).length]).toEqual([1, 1]);
  });

  it("after the service was signed in and before anybody heard: the same codes get the one token", async () => {
    await seal([A, B]);
    await open([A, B]);
    await evictDurableObject(stubs.CONTROL.getByName("control"));
    expect(await open([A, B])).toMatchObject({ ok: true });
    expect([await glassTokens(), (await liveSessions()).length]).toEqual([1, 1]);
  });

  it("closed between the two: nothing is opened after all", async () => {
    await seal([A, B]);
    vi.spyOn(User.prototype, "signIn").mockRejectedValue(new Error("gone"));
    expect(await outcome(() => open([A, B]))).toBe("failed");
    vi.restoreAllMocks();
    later(0);
    await control().revoke({ kind: "service", id: BREAK_GLASS_SERVICE, by: "internal" });
    expect(await open([A, B])).toEqual(refused);
    expect(await liveSessions()).toEqual([]);
  });
});

describe("attempts are bounded", () => {
  const tried = async (): Promise<unknown[]> => {
    const records = await objects.AUDIT.getByName("control").since(0, 1_000);
    return records.flatMap(({ kind, data }) => (kind === "break_glass" && data["act"] !== "seal" ? [[data["act"], data["source"], data["untold"]]] : []));
  };
  const OFFICE = "203.0.113.9";

  it(`of one source ${SOURCE_TRIES_COUNT} wrong ones in ten minutes are recorded, then it is overloaded; right ones from the same address open all the same`, async () => {
    await seal([A, B]);
    for (let n = 0; n < SOURCE_TRIES_COUNT; n++) expect(await open([A, C])).toEqual(refused);
    expect(await open([A, C])).toEqual({ ok: false, code: "overloaded" });
    expect(await open([A, C], "198.51.100.7")).toEqual(refused);
    expect(await open([A, B])).toMatchObject({ ok: true });
    later(10 * MINUTE_MS);
    expect(await open([A, C])).toEqual(refused);
  });

  it("a flood of one source uses up what is recorded of itself, and no more: what another tries is on record", async () => {
    await seal([A, B]);
    for (let n = 0; n < RECORDED_TRIES_COUNT; n++) await open([C], OFFICE);
    await open([A, C], "198.51.100.66");
    expect((await tried()).slice(SOURCE_TRIES_COUNT - 1)).toEqual([["refused", OFFICE, undefined], ["refused", "198.51.100.66", RECORDED_TRIES_COUNT - SOURCE_TRIES_COUNT]]);
  });

  it.each<[string, () => Promise<unknown>, string]>([
    ["an opening", () => open([A, B]), "open"],
    ["a wrong one, ten minutes later", async () => (later(10 * MINUTE_MS), open([C])), "refused"],
    ["a cancellation", cancel, "cancel"],
  ])("those that no record tells of are told as a number by %s, through the loss of the object, and once", async (_, next, act) => {
    await seal([A, B]);
    for (let n = 0; n < SOURCE_TRIES_COUNT + 7; n++) await open([C], OFFICE);
    await evictDurableObject(stubs.CONTROL.getByName("control"));
    await next();
    await seal([B, C]);
    expect((await tried()).at(-1)).toEqual([act, act === "cancel" ? undefined : "192.0.2.1", 7]);
    const last = (await objects.AUDIT.getByName("control").since(0, 1_000)).at(-1);
    expect(last?.data).not.toHaveProperty("untold");
  });

  it("what was to tell of them and could not be stored told nothing, and is one of them", async () => {
    await seal([A, B]);
    for (let n = 0; n < SOURCE_TRIES_COUNT + 2; n++) await open([C], OFFICE);
    const spy = vi.spyOn(Audit.prototype, "append").mockRejectedValue(new Error("disk"));
    expect(await outcome(() => open([C]))).toBe("failed");
    spy.mockRestore();
    await open([A, B]);
    expect((await tried()).at(-1)).toEqual(["open", "192.0.2.1", 3]);
  });

  it("every one of many at a time is on record or in a number, and none twice", async () => {
    await seal([A, B]);
    await Promise.all(Array.from({ length: 60 }, (_, n) => open([C], `192.0.2.${n % 3}`)));
    await open([A, B]);
    const said = (await tried()) as [string, string, number | undefined][];
    const wrong = said.filter(([act]) => act === "refused").length;
    expect([wrong, wrong + said.reduce((sum, [, , untold]) => sum + (untold ?? 0), 0)]).toEqual([3 * SOURCE_TRIES_COUNT, 60]);
  });

  it("a flood of wrong ones is recorded up to a bound, stores nothing more but their number, and cannot keep the right ones out", async () => {
    await seal([A, B]);
    for (let n = 0; n < RECORDED_TRIES_COUNT + 20; n++) await open([C, A], `2001:db8::${n}`);
    expect((await acts()).filter((act) => act === "refused")).toHaveLength(RECORDED_TRIES_COUNT);
    const stored = await runInDurableObject(stubs.CONTROL.getByName("control"), (_, { storage }) => storage.kv.get<{ sources: object; untold: number }>("break-glass-tries"));
    expect([Object.keys(stored?.sources ?? {}).length, stored?.untold]).toEqual([RECORDED_TRIES_COUNT, 20]);
    expect(await open([A, B], "198.51.100.7")).toMatchObject({ ok: true });
    expect((await tried()).at(-1)).toEqual(["open", "198.51.100.7", 20]);
  });

  it("one that comes too early is told when to come, however often; the record is bounded", async () => {
    await seal([A], DELAY);
    const started = await open([A]);
    for (let n = 0; n < SOURCE_TRIES_COUNT + 3; n++) expect(await open([A])).toEqual(started);
    expect(await acts()).toEqual(["seal", "clock_started", ...Array.from({ length: SOURCE_TRIES_COUNT }, () => "too_early")]);
  });
});

describe("what is closed while it opens stays closed (M1)", () => {
  /** The service is revoked when its sign-in is under way, and control is gone before it can look at it again. */
  function revokedUnderWay(name: string): void {
    const real = Reflect.get(User.prototype, "signIn") as User["signIn"];
    vi.spyOn(User.prototype, "signIn").mockImplementation(async function (this: User, request) {
      expect(await control().revoke({ kind: "service", id: name, by: "internal" })).toMatchObject({ ok: true, receipt: { complete: true } });
      return real.call(this, request);
    });
    vi.spyOn(Session.prototype, "end").mockRejectedValue(new Error("gone"));
  }
  const sessionsOf = async (name: string): Promise<number> => (await objects.USER.getByName(`service:${name}`).sessions()).length;

  it("a close that answered complete leaves no session of the opening that was under way", async () => {
    await seal([A, B]);
    revokedUnderWay(BREAK_GLASS_SERVICE);
    expect(await outcome(() => open([A, B]))).toBe("failed");
    vi.restoreAllMocks();
    later(0);
    expect([await sessionsOf(BREAK_GLASS_SERVICE), await liveSessions(), (await state()).openUntil]).toEqual([0, [], undefined]);
    expect(await open([A, B])).toEqual(refused);
  });

  it("nor does the revocation of a service of the token that was being made", async () => {
    revokedUnderWay("backup");
    expect(await outcome(() => control().createService({ name: "backup", tokenId: randomText(16), hash: randomText(32), expiresAt: clock + HOUR_MS, by: "internal" }))).toBe("failed");
    vi.restoreAllMocks();
    later(0);
    expect([await sessionsOf("backup"), (await control().services()).some(({ name }) => name === "backup")]).toEqual([0, false]);
  });

  it("the next seal opens at once, in the same millisecond and by a clock that was put back", async () => {
    for (const [codes, back] of [[[A, B], 0], [[B, C], 0], [[A, C], MINUTE_MS]] as const) {
      later(-back);
      await seal(codes);
      expect(await open(codes)).toMatchObject({ ok: true });
      expect(await control().revoke({ kind: "service", id: BREAK_GLASS_SERVICE, by: "internal" })).toMatchObject({ ok: true, receipt: { complete: true } });
      expect(await liveSessions()).toEqual([]);
    }
  });
});

describe("an opening whose session ended is over", () => {
  it.each<[string, (sid: SessionId) => Promise<unknown>]>([
    ["an operator who revoked the session", (id) => control().revoke({ kind: "session", id, by: "internal" })],
    ["whoever had the token and signed out", (sid) => sessionOf(sid).end("signed_out", "self")],
  ])("by %s: the status says so, and the codes are refused as such", async (_, end) => {
    await seal([A, B]);
    await open([A, B]);
    const [sid] = await liveSessions();
    if (sid === undefined) throw new Error("not open");
    await end(sid);
    expect(await state()).toEqual({});
    expect(await open([A, B])).toEqual(refused);
    expect(await acts()).toEqual(["seal", "open", "refused"]);
  });

  it("one that cannot be asked counts as open", async () => {
    await seal([A, B]);
    await open([A, B]);
    vi.spyOn(Session.prototype, "isLive").mockRejectedValue(new Error("gone"));
    expect((await state()).openUntil).toBe(clock + HOUR_MS);
  });
});

describe("who may seal and cancel is looked at in the step that does it (M1)", () => {
  it("an operator whose session ended does neither", async () => {
    const sid = await signedIn();
    const by = { name: "ann", sid, subject: userId(), policyVersion: 1 };
    expect(await control().breakGlass({ act: "seal", codes: [A, B], delayMs: 0, by })).toMatchObject({ ok: true });
    await sessionOf(sid).end("revoked", "self");
    const changed = { ok: false, code: "actor_changed" };
    expect(await control().breakGlass({ act: "seal", codes: [C], delayMs: DELAY, by })).toMatchObject(changed);
    expect(await control().breakGlass({ act: "cancel", by })).toMatchObject(changed);
    expect(await state()).toMatchObject({ people: 2, sealedBy: "ann" });
  });

  it("nothing that is stored is a code, and a seal keeps for as long as nobody breaks it", async () => {
    await seal([A, B]);
    later(400 * DAY_MS);
    expect(await state()).toMatchObject({ people: 2 });
  });
});
