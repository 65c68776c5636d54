import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DEADLINE_TICK_MS, Deadlines } from "../../../durable-objects/tunnel/deadlines.ts";

describe("deadlines on one timer", () => {
  let deadlines: Deadlines;
  let called: string[];
  const set = (owner: { name: string }, ms: number): void => deadlines.set(owner, ms, () => called.push(owner.name));
  const a = { name: "a" };
  const b = { name: "b" };

  beforeEach(() => {
    vi.useFakeTimers();
    deadlines = new Deadlines();
    called = [];
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("comes never early and at most a tick late", () => {
    set(a, 1_200);
    vi.advanceTimersByTime(1_199);
    expect(called).toEqual([]);
    vi.advanceTimersByTime(1 + DEADLINE_TICK_MS);
    expect(called).toEqual(["a"]);
  });

  it("counts anew when it is set again, and comes once", () => {
    set(a, 1_000);
    vi.advanceTimersByTime(900);
    set(a, 1_000);
    vi.advanceTimersByTime(900);
    expect(called).toEqual([]);
    vi.advanceTimersByTime(10_000);
    expect(called).toEqual(["a"]);
  });

  it("never comes once it was cleared; another's does", () => {
    set(a, 1_000);
    set(b, 1_000);
    deadlines.clear(a);
    vi.advanceTimersByTime(10_000);
    expect(called).toEqual(["b"]);
  });

  it("may be set again from within", () => {
    deadlines.set(a, 1_000, () => set(a, 1_000));
    vi.advanceTimersByTime(1_000 + DEADLINE_TICK_MS);
    expect(called).toEqual([]);
    vi.advanceTimersByTime(1_000 + DEADLINE_TICK_MS);
    expect(called).toEqual(["a"]);
  });

  it("leaves no timer running once none is set, so that a lane can sleep (M14)", () => {
    set(a, 60_000);
    expect(vi.getTimerCount()).toBe(1);
    deadlines.clear(a);
    vi.advanceTimersByTime(DEADLINE_TICK_MS);
    expect(vi.getTimerCount()).toBe(0);
    set(b, 1_000);
    set(a, 1_000);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(1_000 + DEADLINE_TICK_MS);
    expect(vi.getTimerCount()).toBe(0);
  });
});
