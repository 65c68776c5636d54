/** Ends of clients: a few at once, many a moment later and some at a time, each once and in order. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LATE_MS, LateEnds } from "../../../durable-objects/tunnel/late-ends.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const COUNT = 200;

describe("ends of clients' connections", () => {
  it("go at once where they are few", () => {
    const ends = new LateEnds();
    const seen: number[] = [];
    for (let i = 0; i < 10; i++) ends.do(() => seen.push(i));
    expect(seen).toHaveLength(10);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("wait a moment where they are many, go on in turns that let others in between, and leave no timer behind", () => {
    const ends = new LateEnds();
    const seen: number[] = [];
    for (let i = 0; i < COUNT; i++) ends.do(() => seen.push(i));
    const first = seen.length;
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(20);
    vi.advanceTimersByTime(LATE_MS - 1);
    expect(seen).toHaveLength(first);
    let turns = 0;
    while (vi.getTimerCount() > 0) {
      const before = seen.length;
      vi.advanceTimersToNextTimer();
      expect(seen.length - before).toBeLessThan(30);
      turns++;
    }
    expect(turns).toBeGreaterThan(5);
    expect(seen).toEqual(Array.from({ length: COUNT }, (_, i) => i));
    // Who comes later is not put behind anybody.
    vi.advanceTimersByTime(1_000);
    ends.do(() => seen.push(COUNT));
    expect(seen).toHaveLength(COUNT + 1);
  });

  it("go in larger turns where they are very many", () => {
    const ends = new LateEnds();
    const seen: number[] = [];
    for (let i = 0; i < 1_000; i++) ends.do(() => seen.push(i));
    expect(seen.length).toBeLessThan(20);
    for (let turns = 0; vi.getTimerCount() > 0; turns++) {
      const before = seen.length;
      vi.advanceTimersToNextTimer();
      expect(seen.length - before).toBeLessThan(100);
      expect(turns).toBeLessThan(40);
    }
    expect(seen).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
  });

  it("go in order, whoever comes while others wait, and one that fails holds up none", () => {
    const ends = new LateEnds();
    const seen: number[] = [];
    for (let i = 0; i < 40; i++) ends.do(() => {
      seen.push(i);
      if (i === 20) throw new Error("already closed");
    });
    vi.advanceTimersByTime(1);
    ends.do(() => seen.push(40));
    vi.runAllTimers();
    expect(seen).toEqual(Array.from({ length: 41 }, (_, i) => i));
  });
});
