/** Control's one alarm: a stream of changes must not push it ahead of itself, whatever instance serves them. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Retake } from "../../../durable-objects/control/retake.ts";
import { T0 } from "../samples.ts";

/** An object's alarm, as each of its instances finds it. */
class Place {
  alarmAt: number | null = null;

  async instance(): Promise<Retake> {
    let ready: Promise<void> | undefined;
    const retake = new Retake({
      storage: {
        getAlarm: () => Promise.resolve(this.alarmAt),
        setAlarm: (at) => {
          this.alarmAt = at;
          return Promise.resolve();
        },
      },
      blockConcurrencyWhile: (work) => (ready = work()),
    });
    await ready;
    return retake;
  }
}

describe("what must be taken up again", () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: T0, toFake: ["Date"] });
  });
  afterEach(() => vi.useRealTimers());

  it("is, though something new begins all the time", async () => {
    const place = new Place();
    const retake = await place.instance();
    retake.soon();
    const first = place.alarmAt;
    expect(first).toBeGreaterThan(T0);
    for (let i = 0; i < 100; i++) {
      vi.advanceTimersByTime(1_000);
      retake.soon();
    }
    expect(place.alarmAt).toBe(first);
    // What failed again asks for the next one, also while the alarm is still at work.
    retake.came();
    retake.soon();
    expect(place.alarmAt).toBeGreaterThan(Date.now());
  });

  it("is, though the object is replaced all the time", async () => {
    const place = new Place();
    (await place.instance()).soon();
    const first = place.alarmAt;
    for (let i = 0; i < 4; i++) {
      vi.advanceTimersByTime(1_000);
      (await place.instance()).soon();
    }
    expect(place.alarmAt).toBe(first);
  });

  it("is asked for anew where an older instance's alarm is overdue: it may have failed too often to come", async () => {
    const place = new Place();
    (await place.instance()).soon();
    vi.advanceTimersByTime(60_000);
    (await place.instance()).soon();
    expect(place.alarmAt).toBeGreaterThan(Date.now());
  });
});
