import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { readSegment, spellSegment, type Segment } from "../../protocol/bulk.ts";

const hmac = (key: Uint8Array, bytes: Uint8Array): Uint8Array => createHmac("sha256", key).update(bytes).digest();
const KEY = new Uint8Array(32).fill(7);
const SEGMENT: Segment = { ticket: "T".repeat(22), stream: 12, direction: "down", offset: 262_144, length: 67_108_864 };
const header = spellSegment(hmac, KEY, SEGMENT);

describe("the name of a segment", () => {
  it("BK3: carries ticket, stream, offset, length and a MAC that its socket's key proves", () => {
    const read = readSegment(header, "down");
    expect(read?.segment).toEqual(SEGMENT);
    expect(read?.isOf(hmac, KEY)).toBe(true);
  });

  it("BK3: is of no other key and no other direction", () => {
    expect(readSegment(header, "down")?.isOf(hmac, new Uint8Array(32))).toBe(false);
    expect(readSegment(header, "up")?.isOf(hmac, KEY)).toBe(false);
  });

  it("BK3: proves nothing with any one character changed", () => {
    for (let at = 0; at < header.length; at++) {
      const changed = header.slice(0, at) + (header[at] === "1" ? "2" : "1") + header.slice(at + 1);
      if (changed === header) continue;
      expect(readSegment(changed, "down")?.isOf(hmac, KEY) ?? false, changed).toBe(false);
    }
  });

  it.each(["", "a.b", `${header}.`, ` ${header}`, header.replace(".12.", ".-12."), header.replace(".12.", ".1e1."), header.slice(0, -1), `${header}A`, "x".repeat(10_000)])("BK3: %s names none", (text) => {
    expect(readSegment(text, "down")).toBeUndefined();
  });
});
