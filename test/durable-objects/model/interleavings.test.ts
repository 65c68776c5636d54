import { afterEach, describe, expect, it, vi } from "vitest";
import { NOTHING_CUT } from "../../../durable-objects/cut-report.ts";
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

/** Messages late and in any order, objects replaced, clocks up to 5 s off. */
const LOSSLESS: Faults = { loss: 0, late: 0, skewMs: 5_000 };
/** Also lost, late by up to a minute, and lanes that cannot be reached for longer than a lease. */
const LOSSY: Faults = { loss: 0.06, late: 0.02, skewMs: 5_000 };
const STEPS = 160;
const PLAYS_MS = 60_000;

describe("what a receipt promises, in any order of messages (M1, M2, M6, M7, M9)", () => {
  it.each([
    ["late and in any order", LOSSLESS, 1],
    ["lost as well, and lanes out of reach", LOSSY, 10_001],
  ])("holds in 500 plays with messages %s", async (_title, faults, from) => {
    const sum: Omit<Played, "broken"> = { receipts: 0, opened: 0, bytes: 0, refused: 0 };
    const broken: string[] = [];
    for (let seed = from; seed < from + 500; seed++) {
      const one = await play(seed, STEPS, faults);
      if (one.broken !== undefined) broken.push(`seed ${seed}: ${one.broken}`);
      for (const key of ["receipts", "opened", "bytes", "refused"] as const) Object.assign(sum, { [key]: sum[key] + one[key] });
    }
    expect(broken).toEqual([]);
    // The plays were about something.
    for (const key of ["receipts", "opened", "bytes", "refused"] as const) expect(sum[key], key).toBeGreaterThan(200);
  }, PLAYS_MS);
});

const mutants: readonly [string, Faults, () => void][] = [
  ["replies below the pushed epoch count (M1)", LOSSLESS, () => {
    vi.spyOn(LeaseTable.prototype, "push").mockImplementation(function (this: LeaseTable, sid) {
      this.drop(sid);
    });
  }],
  ["a push takes no lease away (M1)", LOSSLESS, () => {
    vi.spyOn(LeaseTable.prototype, "push").mockImplementation(() => undefined);
  }],
  ["a lane says that it cut, and cuts nothing (M2)", LOSSLESS, () => {
    vi.spyOn(Tunnel.prototype, "endSession").mockImplementation(async () => NOTHING_CUT);
  }],
  ["a lease never runs out (M9)", LOSSY, () => {
    vi.spyOn(LeaseTable.prototype, "lease").mockImplementation(function (this: LeaseTable, sid) {
      return this.last(sid);
    });
  }],
  ["a policy is trusted without a lease (M8)", LOSSY, () => {
    vi.spyOn(PolicyHold.prototype, "isFresh").mockImplementation(function (this: PolicyHold) {
      return this.version > 0;
    });
    vi.spyOn(PolicyHold.prototype, "keep").mockReturnValue(undefined);
  }],
  ["an old attempt to sign in counts after a revocation", LOSSLESS, () => {
    const real = Reflect.get(User.prototype, "signIn") as User["signIn"];
    vi.spyOn(User.prototype, "signIn").mockImplementation(function (this: User, request) {
      return real.call(this, { ...request, attemptStartedAt: Number.MAX_SAFE_INTEGER });
    });
  }],
];

describe("the plays notice when", () => {
  it.each(mutants)("%s", async (_title, faults, mutate) => {
    mutate();
    let found: string | undefined;
    for (let seed = 1; seed <= 1_500 && found === undefined; seed++) found = (await play(seed, STEPS, faults)).broken;
    expect(found).toMatch(/after (?:the|its) receipt|outlived their receipt/);
  }, PLAYS_MS);
});
