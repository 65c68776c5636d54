import { describe, expect, it } from "vitest";
import { type StampedLine, stampedLine, StampedLines, STAMPED_LINE_BYTES } from "../../protocol/stamped-lines.ts";

/** What is read of these pieces, one after the other. */
function read(pieces: readonly string[], isOver = false): readonly StampedLine[] {
  const found: StampedLine[] = [];
  const lines = new StampedLines((line) => found.push(line));
  for (const piece of pieces) lines.feed(piece);
  if (isOver) lines.over();
  return found;
}

describe("stamped lines", () => {
  const [one, two] = [stampedLine(12.3456, "c0ffee-both"), stampedLine(13)];

  it("have one length, whatever they carry", () => {
    expect([one.length, two.length]).toEqual([STAMPED_LINE_BYTES, STAMPED_LINE_BYTES]);
  });

  it("are the same in whatever pieces they come", () => {
    const whole = read([one + two]);
    expect(whole).toEqual([{ at: 12.346, mark: "c0ffee-both", bytes: 256 }, { at: 13, mark: "", bytes: 256 }]);
    for (let cut = 1; cut < 2 * STAMPED_LINE_BYTES; cut += 7) expect(read([(one + two).slice(0, cut), (one + two).slice(cut)])).toEqual(whole);
    expect(read([...(one + two)])).toEqual(whole);
  });

  it("are found in an event stream and among other lines", () => {
    expect(read([`HTTP/1.1 101 Switching Protocols\r\n\r\ndata: ${one}\n: heartbeat\n`]).map(({ at }) => at)).toEqual([12.346]);
  });

  it("count as far as they came when the connection ends, and not when their time is cut short", () => {
    expect(read([one.slice(0, 40)], true)).toEqual([{ at: 12.346, mark: "c0ffee-both", bytes: 40 }]);
    expect(read([one.slice(0, 40)])).toEqual([]);
    expect(read([one.slice(0, "stamp 12.34".length)], true)).toEqual([]);
  });

  it("are not waited for without a bound", () => {
    const endless = read(["x".repeat(100_000), "x".repeat(100_000), `\n${two}`]);
    expect(endless.map(({ at }) => at)).toEqual([13]);
  });
});
