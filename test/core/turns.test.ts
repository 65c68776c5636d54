import { describe, expect, it } from "vitest";
import { Turns } from "../../core/turns.ts";

describe("turns", () => {
  it("are as many in a second as were said, one after the other, however many members there are", () => {
    for (const count of [1, 3, 200]) {
      const turns = new Turns<number>(500, 0);
      for (let member = 0; member < count; member++) turns.join(member);
      const had: number[] = [];
      for (let now = 10; now <= 1_000; now += 10) had.push(...turns.due(now));
      expect(had).toEqual(Array.from({ length: 500 }, (_, n) => n % count));
    }
  });

  it("that were missed are not made up for in one burst, and nothing is owed to those who come later", () => {
    const turns = new Turns<string>(500, 0);
    expect([...turns.due(10_000)]).toEqual([]);
    turns.join("late");
    expect([...turns.due(10_010)]).toHaveLength(5);
    expect([...turns.due(99_000)]).toHaveLength(64);
  });

  it("go to who is there: who leaves in the middle of a round has no more", () => {
    const turns = new Turns<string>(1_000, 0);
    const leave = turns.join("a");
    turns.join("b");
    expect([...turns.due(3)]).toEqual(["a", "b", "a"]);
    leave();
    expect([...turns.due(5)]).toEqual(["b", "b"]);
    expect(turns.size).toBe(1);
  });
});
