/** When an agent reports: at once, again in time, after a failure, and what it says of that. */
import { describe, expect, it } from "vitest";
import { AgentFailure } from "../../agent/agent-failure.ts";
import { LOOK_EVERY_MS, REPORT_EVERY_MS, watchDevice, type WatchEvent, type Watching } from "../../agent/device-watch.ts";
import type { PostureFacts } from "../../identity/posture-report.ts";

const MINUTE = 60_000;

interface Story {
  readonly minutes: number;
  readonly facts?: (minute: number) => PostureFacts;
  readonly report?: (minute: number) => void;
  readonly enrol?: (minute: number) => boolean;
  readonly random?: () => number;
}

/** Watches for so long by a clock of its own; when it reported, in minutes, and what it said. */
async function watched({ minutes, facts = () => ({ os: "linux" }), report = () => undefined, enrol = () => false, random = () => 0.5 }: Story): Promise<{ at: number[]; said: WatchEvent[]; looked: number }> {
  let now = 0;
  let looked = 0;
  const at: number[] = [];
  const said: WatchEvent[] = [];
  const watching: Watching = {
    look: async () => (looked++, facts(now / MINUTE)),
    enrol: async () => ({ id: "d_x", isNew: enrol(now / MINUTE) }),
    report: async () => {
      report(now / MINUTE);
      at.push(now / MINUTE);
      return { seq: at.length };
    },
    now: () => now,
    random,
    sleep: async (ms) => {
      now += ms;
      return now < minutes * MINUTE;
    },
    say: (event) => said.push(event),
  };
  await watchDevice(watching);
  return { at, said, looked };
}
const failing = (code: string): never => {
  throw new AgentFailure(code, code, code, []);
};

describe("an agent that watches its machine", () => {
  it("looks every minute and reports before anything is 15 minutes old, each machine at its own times", async () => {
    for (const chance of [0, 0.3, 0.999]) {
      const { at, looked } = await watched({ minutes: 120, random: () => chance });
      expect(looked).toBe((120 * MINUTE) / LOOK_EVERY_MS);
      expect(at[0]).toBe(0);
      const gaps = at.slice(1).map((one, index) => one - (at[index] ?? 0));
      expect(Math.max(...gaps)).toBeLessThanOrEqual(REPORT_EVERY_MS / MINUTE - 1);
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(9);
    }
  });

  it("reports at once what changed, and says what that was", async () => {
    const { at, said } = await watched({ minutes: 8, facts: (minute) => ({ os: "linux", ...(minute < 3 ? { firewall: true } : minute < 5 ? { firewall: false } : {}) }) });
    expect(at).toEqual([0, 3, 5]);
    expect(said.map((one) => (one.event === "reported" ? one.changed : one.event))).toEqual([[], ["firewall"], ["firewall"]]);
  });

  it("reports by a new sign-in at once", async () => {
    const { at, said } = await watched({ minutes: 6, enrol: (minute) => minute === 4 });
    expect(at).toEqual([0, 4]);
    expect(said.map(({ event }) => event)).toEqual(["reported", "enrolled", "reported"]);
  });

  it("tries again soon after a failure, says it once, and goes on when it passed", async () => {
    const { at, said } = await watched({ minutes: 30, report: (minute) => (minute > 0 && minute < 20 ? failing("edge_unreachable") : undefined), random: () => 0 });
    expect(said.filter(({ event }) => event === "trouble")).toHaveLength(1);
    expect(at[1]).toBeGreaterThanOrEqual(20);
    expect(at[1]).toBeLessThan(20.1);
  });

  it("is not silent because the sign-in is over: a report needs none", async () => {
    const { at, said } = await watched({ minutes: 30, enrol: (minute) => (minute > 0 ? failing("sign_in_required") : false) });
    expect(at.length).toBeGreaterThan(2);
    expect(said.filter(({ event }) => event === "trouble")).toHaveLength(1);
  });

  it.each(["device_cloned", "device_barred", "device_unknown"])("ends when %s: only a person can help", async (code) => {
    await expect(watched({ minutes: 30, report: (minute) => (minute > 5 ? failing(code) : undefined) })).rejects.toMatchObject({ code });
  });
});
