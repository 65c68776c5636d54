/** P19: who is away and who is back, by control's own questions alone. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { NOTHING_CUT } from "../../../durable-objects/cut-report.ts";
import { afterLook, AWAY_COUNT, CALLED_MS, LOOK_MS, MAX_AGAIN_MS, nextLook, ProviderWatch, type Seen } from "../../../durable-objects/control/provider-watch.ts";
import { documentOf, textOf } from "../../policy/fixtures.ts";
import { ObjectStorage } from "../object-storage.ts";
import { T0 } from "../samples.ts";

const START: Seen = { at: 0, silent: 0, since: 0, told: true };
const after = (answers: string, from = START): Seen => [...answers].reduce((seen, one, i) => afterLook(seen, one === "+", T0 + i * 1_000), from);

describe("P19: what a row of answers means", () => {
  it.each([
    ["+++", false],
    ["-", false],
    ["--", false],
    ["-".repeat(AWAY_COUNT), true],
    ["--+--", false],
    ["--+---", true],
    ["---+", false],
    ["---+--", false],
    ["------", true],
  ])("%s: away: %s", (answers, away) => {
    expect(after(answers).silent >= AWAY_COUNT).toBe(away);
  });

  it("away since the first question without an answer, not since it was certain", () => {
    expect(after("++--+---")).toMatchObject({ since: T0 + 5_000, told: false });
    expect(after("------").since).toBe(T0);
  });

  it("asks one that is away ever more seldom, up to a bound, and one that answers seldom", () => {
    const waits = Array.from({ length: 8 }, (_, i) => {
      const seen = { ...after("-".repeat(AWAY_COUNT + i)), told: true };
      return nextLook(seen) - seen.at;
    });
    expect(waits).toEqual([5_000, 10_000, 20_000, MAX_AGAIN_MS, MAX_AGAIN_MS, MAX_AGAIN_MS, MAX_AGAIN_MS, MAX_AGAIN_MS]);
    expect(nextLook(after("+")) - after("+").at).toBe(LOOK_MS);
  });
});

describe("P19: control's questions", () => {
  let told: Record<string, number>[];
  let records: Record<string, unknown>[];
  let wakes: number[];
  let work: Promise<unknown>[];
  let answer: () => Promise<Response>;
  let asked: string[];

  beforeEach(() => {
    vi.useFakeTimers({ now: T0, toFake: ["Date"] });
    [told, records, wakes, work, asked] = [[], [], [], [], []];
    vi.spyOn(globalThis, "fetch").mockImplementation((url: unknown) => {
      asked.push(url as string);
      return answer();
    });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  function watching(defaults: string, storage = new ObjectStorage()): ProviderWatch {
    const document = documentOf(textOf(`[{ id: all, effect: allow, apps: "*", when: { group: [staff] } }]`, `defaults: { ${defaults} }\n`));
    return new ProviderWatch({ storage, waitUntil: (one: Promise<unknown>) => void work.push(one) } as never, {
      document: () => document,
      tell: async (away) => (told.push({ ...away }), NOTHING_CUT),
      record: async (data) => void records.push(data),
      wakeAt: (at) => void wakes.push(at),
    });
  }
  const looks = async (watch: ProviderWatch, times: number, everyMs = MAX_AGAIN_MS): Promise<void> => {
    for (let n = 0; n < times; n++) {
      watch.resume();
      await Promise.all(work.splice(0));
      vi.setSystemTime(Date.now() + everyMs);
    }
  };
  const refused = async (): Promise<Response> => Promise.reject(new Error("refused"));

  it("are asked only while some rule needs the answer: idle costs nothing", async () => {
    answer = refused;
    const watch = watching("on_identity_loss: keep, on_audit_loss: cut");
    await looks(watch, 5);
    expect(watch.called("corp")).toBe(false);
    expect({ asked, wakes, work }).toEqual({ asked: [], wakes: [], work: [] });
  });

  it.each([
    ["no answer", refused, true],
    ["500", async () => new Response("", { status: 500 }), true],
    ["a page instead of metadata", async () => new Response("<html>", { status: 200 }), true],
    ["too many requests: it is there", async () => new Response("", { status: 429 }), false],
    ["a firewall's refusal: it is there", async () => new Response("", { status: 403 }), false],
  ])("%s three times: away: %s", async (_what, how, away) => {
    answer = how as () => Promise<Response>;
    const watch = watching("on_identity_loss: cut");
    await looks(watch, AWAY_COUNT);
    expect(Object.keys(watch.away())).toEqual(away ? ["corp"] : []);
    expect(told).toEqual(away ? [{ corp: 2 * MAX_AGAIN_MS }] : []);
    expect(records).toHaveLength(away ? 1 : 0);
  });

  it("go to the provider's own addresses, and a crowd at the sign-in page makes them no oftener than that", async () => {
    answer = refused;
    const watch = watching("on_identity_loss: cut");
    for (let n = 0; n < 100; n++) watch.called("corp");
    expect(watch.called("elsewhere")).toBe(false);
    await Promise.all(work.splice(0));
    for (let n = 0; n < 100; n++) watch.called("corp");
    expect(asked).toEqual(["https://login.example.com/.well-known/openid-configuration"]);
    vi.setSystemTime(T0 + CALLED_MS);
    watch.called("corp");
    await Promise.all(work.splice(0));
    expect(asked).toHaveLength(2);
  });

  it("that could not be told or recorded is told again; an instance of after it knows who is away", async () => {
    answer = refused;
    const storage = new ObjectStorage();
    const watch = watching("on_identity_loss: cut", storage);
    await looks(watch, AWAY_COUNT - 1);
    const push = told.push.bind(told);
    told.push = () => {
      told.push = push;
      throw new Error("no lane answers");
    };
    await looks(watch, 1);
    expect(records).toEqual([]);
    const next = watching("on_identity_loss: cut", storage);
    expect(Object.keys(next.away())).toEqual(["corp"]);
    await looks(next, 1);
    expect(records).toMatchObject([{ part: "identity", provider: "corp", since: T0 }]);
    await looks(next, 3);
    expect(records).toHaveLength(1);
  });
});
