import { expect, it } from "vitest";
import { formatTruncation } from "../../protocol/truncated.ts";

it.each([
  [{ owners: 0, sessions: 0, unreachable: 0 }, undefined],
  [{ owners: 0, sessions: 20, unreachable: 1 }, "sessions=20, unreachable=1"],
  [{ owners: 3, sessions: 0, unreachable: 0 }, "owners=3"],
])("a list names what is missing, and nothing when it is whole: %j", (cut, header) => {
  expect(formatTruncation(cut)).toBe(header);
});
