/** A lock file that a dead process left, and two that come upon it at once: at every call of the one to the system, the other comes in. */
import type * as fs from "node:fs";
import { existsSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { underLock } from "../../agent/file-lock.ts";
import { temporaryFolder } from "../temporary-folder.ts";

let calls = 0;
/** Called before each call of the first one to the system. */
let between: (call: number) => void = () => undefined;
vi.mock("node:fs", async (importOriginal) => {
  const real = await importOriginal<typeof fs>();
  const watched = <Args extends unknown[], Result>(call: (...args: Args) => Result) => (...args: Args): Result => {
    between(++calls);
    return call(...args);
  };
  return { ...real, openSync: watched(real.openSync), statSync: watched(real.statSync), rmSync: watched(real.rmSync), closeSync: watched(real.closeSync) };
});
beforeEach(() => {
  calls = 0;
  between = () => undefined;
});

/** Older than any lock that is held. */
const LONG_AGO = new Date(Date.now() - 60_000);
function stale(...names: readonly string[]): string {
  const folder = temporaryFolder("lock");
  for (const name of names) {
    writeFileSync(join(folder, name), "");
    utimesSync(join(folder, name), LONG_AGO, LONG_AGO);
  }
  return join(folder, "lock");
}

/** So many calls one alone makes. */
async function callsOfOne(...names: readonly string[]): Promise<number> {
  const lock = stale(...names);
  await underLock(lock, () => undefined);
  return calls;
}

describe("a lock that a dead process left", () => {
  it.each([[["lock"]], [["lock", "lock.stale"]]])("is taken by one of two, whenever the second comes (%j)", async (names) => {
    const count = await callsOfOne(...names);
    expect(count).toBeGreaterThan(4);
    for (let moment = 1; moment <= count; moment++) {
      const lock = stale(...names);
      let inside = 0;
      let most = 0;
      const work = async (): Promise<void> => {
        most = Math.max(most, ++inside);
        await new Promise((later) => setTimeout(later, 40));
        inside--;
      };
      let second: Promise<void> | undefined;
      calls = 0;
      between = (call) => {
        if (call !== moment) return;
        between = () => undefined;
        second = underLock(lock, work);
      };
      await underLock(lock, work);
      await second;
      expect([moment, most]).toEqual([moment, 1]);
      expect(existsSync(lock)).toBe(false);
    }
  });

  it("is waited for while it is young, and nothing is left behind", async () => {
    const folder = temporaryFolder("lock");
    const lock = join(folder, "lock");
    const order: string[] = [];
    const first = underLock(lock, async () => {
      await new Promise((later) => setTimeout(later, 60));
      order.push("first");
    });
    const second = underLock(lock, () => void order.push("second"));
    await Promise.all([first, second]);
    expect(order).toEqual(["first", "second"]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("is left to others by who held it for so long that they may have taken it", async () => {
    const lock = join(temporaryFolder("lock"), "lock");
    vi.useFakeTimers({ toFake: ["Date"] });
    try {
      await underLock(lock, () => {
        vi.setSystemTime(Date.now() + 11_000);
        writeFileSync(lock, "of another process by now");
      });
      expect(existsSync(lock)).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });
});
