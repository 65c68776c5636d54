import { afterEach, describe, expect, it, vi } from "vitest";
import { NOTHING_CUT } from "../../../durable-objects/cut-report.ts";
import { Session } from "../../../durable-objects/session/session.ts";
import { BodyFence } from "../../../durable-objects/tunnel/body-fence.ts";
import { Freshness } from "../../../durable-objects/tunnel/freshness.ts";
import { HttpRelay } from "../../../durable-objects/tunnel/http-relay.ts";
import { LeaseTable } from "../../../durable-objects/tunnel/lease-table.ts";
import { PolicyHold } from "../../../durable-objects/tunnel/policy-hold.ts";
import { Tunnel } from "../../../durable-objects/tunnel/tunnel.ts";
import { User } from "../../../durable-objects/user/user.ts";
import { play, type Played } from "./play.ts";
import type { Faults } from "./world.ts";

vi.mock("cloudflare:workers", async () => import("../durable-object.ts"));

afterEach(() => {
  vi.restoreAllMocks();
});

const LOSSLESS: Faults = { loss: 0, late: 0, skewMs: 5_000 };
const LOSSY: Faults = { loss: 0.06, late: 0.02, skewMs: 5_000 };
const STEPS = 160;

async function plays(from: number, count: number, faults: Faults): Promise<{ broken: string[]; sum: Omit<Played, "broken"> }> {
  const sum = { receipts: 0, opened: 0, bytes: 0, refused: 0 };
  const broken: string[] = [];
  for (let seed = from; seed < from + count; seed++) {
    const one = await play(seed, STEPS, faults);
    if (one.broken !== undefined) broken.push(`seed ${seed}: ${one.broken}`);
    for (const key of ["receipts", "opened", "bytes", "refused"] as const) sum[key] += one[key];
  }
  return { broken, sum };
}

describe("what a receipt promises, in any order of messages (M1, M2, M6, M7, M9)", () => {
  it.each([
    ["late and in any order", LOSSLESS, 1],
    ["late, in any order, or lost", LOSSY, 10_001],
  ])("500 plays with messages %s", async (_title, faults, from) => {
    const t = process.hrtime.bigint();
    const { broken, sum } = await plays(from, Number(process.env.PLAYS ?? 500), faults);
    console.log(sum, Number(process.hrtime.bigint() - t) / 1e6);
    expect(broken).toEqual([]);
  }, 120_000);
});

const mutants: readonly [string, Faults, () => void][] = [
  ["replies below the pushed epoch count (M1)", LOSSLESS, () => vi.spyOn(LeaseTable.prototype, "push").mockImplementation(function (this: LeaseTable, sid) { this.drop(sid); })],
  ["a push takes no lease away (M1)", LOSSLESS, () => vi.spyOn(LeaseTable.prototype, "push").mockImplementation(() => undefined)],
  ["a lane takes the lease away and cuts nothing", LOSSLESS, () => vi.spyOn(Tunnel.prototype, "endSession").mockImplementation(async () => NOTHING_CUT)],
  ["a lease never runs out (M9)", LOSSY, () => vi.spyOn(LeaseTable.prototype, "lease").mockImplementation(function (this: LeaseTable, sid) { return this.last(sid); })],
  ["the policy is trusted without a lease (M8)", LOSSY, () => vi.spyOn(PolicyHold.prototype, "isFresh").mockImplementation(function (this: PolicyHold) { return this.version > 0; })],
  ["an older decision stands under a newer policy (M7)", LOSSY, () => {
    const real = Freshness.prototype.passes;
    vi.spyOn(Freshness.prototype, "passes").mockImplementation(function (this: Freshness, stream, now) { return real.call(this, Object.assign(Object.create(stream), { policyVersion: 0 }), now) || real.call(this, stream, now); });
  }],
  ["a replaced instance is not waited for (M6)", LOSSLESS, () => vi.spyOn(BodyFence.prototype, "othersGone").mockImplementation(async () => undefined)],
  ["an old sign-in attempt counts after a revocation", LOSSLESS, () => {
    const real = User.prototype.signIn;
    vi.spyOn(User.prototype, "signIn").mockImplementation(function (this: User, request) { return real.call(this, { ...request, attemptStartedAt: Number.MAX_SAFE_INTEGER }); });
  }],
  ["a head goes out whatever ran out (M4)", LOSSY, () => {
    const real = HttpRelay.prototype.mayPass;
    let first = new WeakSet<object>();
    vi.spyOn(HttpRelay.prototype, "mayPass").mockImplementation(function (this: HttpRelay) { if (first.has(this)) return real.call(this); first.add(this); return Promise.resolve(true); });
  }],
];

describe.skipIf(process.env.NOMUT)("the model notices when", () => {
  it.each(mutants)("%s", async (_title, faults, mutate) => {
    mutate();
    let found: string | undefined; let n = 0;
    for (let seed = 1; seed <= 1500 && found === undefined; seed++) { found = (await play(seed, STEPS, faults)).broken; n = seed; }
    console.log(_title, n, found);
    expect(found).toBeDefined();
  }, 120_000);
});
