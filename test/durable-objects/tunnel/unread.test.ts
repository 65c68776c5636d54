/** What is known of what a peer has read: only an answer that repeats a mark says something. */
import { describe, expect, it } from "vitest";
import { type KeptUnread, Unread } from "../../../durable-objects/tunnel/unread.ts";
import { MARK_BYTES, MESSAGE_WEIGHT_BYTES } from "../../../protocol/limits.ts";

/** So much is sent, in one message. */
const send = (unread: Unread, weight: number): number => unread.add(new Uint8Array(weight - MESSAGE_WEIGHT_BYTES));
/** It is asked, by a text that weighs something too. */
const asked = (unread: Unread): number => {
  let value = -1;
  unread.ask((n) => {
    value = n;
    send(unread, 2_000);
  });
  return value;
};

describe("what is unread", () => {
  it("AG8: counts every message, 1,024 bytes more for each, until an answer repeats a mark that came after it", () => {
    const unread = new Unread({ left: 0 });
    expect([unread.add("abc"), unread.add(new Uint8Array(10)), unread.bytes, unread.isDue(1)]).toEqual([1_027, 1_034, 2_061, true]);
    const mark = asked(unread);
    expect(unread.isDue(1)).toBe(false);
    send(unread, 5_000);
    expect([unread.isDue(1), unread.bytes]).toEqual([true, 9_061]);
    expect([unread.answer(mark), unread.bytes, unread.isDue(1)]).toEqual([4_061, 5_000, true]);
    expect(unread.answer(mark)).toBe(0);
  });

  it("AG8: an answer of any other value proves nothing, and one proves what stands before older marks too", () => {
    const unread = new Unread({ left: 0 });
    const marks = [1, 2, 3].map(() => {
      send(unread, 10_000);
      return asked(unread);
    });
    expect(new Set(marks).size).toBe(3);
    for (const guess of [0, 1, -1, ...marks.map((mark) => mark + 1)]) expect(marks.includes(guess) || unread.answer(guess) === 0).toBe(true);
    expect(unread.bytes).toBe(36_000);
    expect([unread.answer(marks[1] ?? -1), unread.bytes]).toEqual([24_000, 12_000]);
    expect([unread.answer(marks[0] ?? -1), unread.answer(marks[2] ?? -1), unread.bytes]).toEqual([0, 12_000, 0]);
  });

  it("AG8: asks again when 1,048,576 bytes more were sent, whether the last mark was answered or not", () => {
    const unread = new Unread({ left: 0 });
    send(unread, MARK_BYTES - 1_100);
    expect(unread.isDue(MARK_BYTES)).toBe(false);
    send(unread, 1_100);
    expect(unread.isDue(MARK_BYTES)).toBe(true);
    const mark = asked(unread);
    expect(unread.isDue(MARK_BYTES)).toBe(false);
    send(unread, MARK_BYTES);
    expect(unread.isDue(MARK_BYTES)).toBe(true);
    asked(unread);
    unread.answer(mark);
    expect([unread.isDue(MARK_BYTES), unread.bytes]).toEqual([false, MARK_BYTES + 2_000]);
  });

  it("AG8 AG11: what is stored keeps the newest mark, whose answer proves what it did before", () => {
    const unread = new Unread({ left: 0 });
    send(unread, 10_000);
    const [older, newest] = [asked(unread), asked(unread)];
    send(unread, 3_000);
    const woken = (): Unread => new Unread(structuredClone<KeptUnread>(unread.kept));
    expect([woken().bytes, woken().answer(older), woken().answer(newest)]).toEqual([17_000, 0, 14_000]);
    const answered = woken();
    answered.answer(newest);
    expect([answered.bytes, answered.kept, new Unread(answered.kept).isDue(1)]).toEqual([3_000, { left: 3_000, mark: undefined }, true]);
  });
});
