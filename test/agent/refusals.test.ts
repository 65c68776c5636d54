import { expect, it } from "vitest";
import { refusedBecause } from "../../agent/refusals.ts";

it.each(["constructor", "__proto__", "toString", "made_up"])("a code that nobody knows (%s) is told as it is", (code) => {
  expect(refusedBecause(code)).toMatchObject({ code, message: "the stream was refused", why: `the code is ${code}`, fix: [expect.stringContaining("postern explain")], isPassing: false });
});
