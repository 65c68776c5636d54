import { describe, expect, it } from "vitest";
import { parseSessionId } from "../../core/ids.ts";
import { after, at } from "../../core/time.ts";
import {
  CODE_LIFETIME_MS,
  createOneTimeCode,
  formatOneTimeCode,
  hashHostNonce,
  newHostNonce,
  parseOneTimeCode,
  redeemOneTimeCode,
} from "../../identity/one-time-code.ts";
import type { CodeRecord } from "../../identity/one-time-code.ts";
import { hashSecret, parseSessionToken } from "../../identity/session-token.ts";
import { countingRandom, START } from "./fake-provider.ts";

const sid = parseSessionId("cd".repeat(32));
if (sid === undefined) throw new Error("test sid");
const random = countingRandom();
const HOST = "wiki.access.example.com";

async function handOff() {
  const { nonce, nonceHash } = await newHostNonce(random);
  const { code, record } = await createOneTimeCode({ sid: sid ?? ("" as never), host: HOST, nonceHash }, random, START);
  const parsed = parseOneTimeCode(code);
  const shownNonce = await hashHostNonce(nonce);
  if (parsed === undefined || shownNonce === undefined) throw new Error("own code");
  return { code, record, shown: { codeHash: await hashSecret(parsed.secret), host: HOST, nonceHash: shownNonce } };
}
const outcome = (record: CodeRecord | undefined, shown: Parameters<typeof redeemOneTimeCode>[1], now = START): string => {
  const result = redeemOneTimeCode(record, shown, now);
  return result.ok ? "ok" : `${result.error.problem}${result.error.spent?.redeemed === true ? ", spent" : ""}`;
};

describe("the hand-off code (M19)", () => {
  it("is redeemed once, by that browser on that host", async () => {
    const { record, shown } = await handOff();
    const first = redeemOneTimeCode(record, shown, START);
    if (!first.ok) throw new Error(first.error.problem);
    expect(outcome(first.value.spent, shown)).toBe("redeemed");
  });
  it.each([
    [CODE_LIFETIME_MS - 1, "ok"],
    [CODE_LIFETIME_MS, "expired, spent"],
  ])("after %i ms: %s", async (age, expected) => {
    const { record, shown } = await handOff();
    expect(outcome(record, shown, after(at(START), age as typeof CODE_LIFETIME_MS))).toBe(expected);
  });
  it("lives at most 30 s", () => expect(CODE_LIFETIME_MS).toBeLessThanOrEqual(30_000));
  it("another host or another browser uses it up without getting in", async () => {
    const { record, shown } = await handOff();
    const other = await handOff();
    expect(outcome(record, { ...shown, host: "pg.access.example.com" })).toBe("other_host, spent");
    expect(outcome(record, { ...shown, nonceHash: other.shown.nonceHash })).toBe("other_browser, spent");
  });
  it("a guess does not use it up", async () => {
    const { record, shown } = await handOff();
    const other = await handOff();
    expect(outcome(record, { ...shown, codeHash: other.shown.codeHash })).toBe("unknown");
    expect(outcome(undefined, shown)).toBe("unknown");
    expect(outcome(record, shown)).toBe("ok");
  });
  it("is stored as hashes only", async () => {
    const { code, record } = await handOff();
    const secret = Buffer.from(code.split(".")[1] ?? "", "base64url");
    expect(Buffer.from(record.codeHash).equals(secret)).toBe(false);
    expect(Object.keys(record).sort()).toEqual(["codeHash", "expiresAt", "host", "nonceHash", "redeemed"]);
  });
  it("has one spelling, and is no session cookie", async () => {
    const { code } = await handOff();
    const parsed = parseOneTimeCode(code);
    expect(parsed === undefined ? "" : formatOneTimeCode(parsed)).toBe(code);
    expect(parseSessionToken(code)).toBeUndefined();
    for (const text of ["", code.slice(1), `${code}=`, code.toUpperCase(), `${code}\n`]) expect(parseOneTimeCode(text)).toBeUndefined();
  });
  it.each(["", "A", "A".repeat(42), "A".repeat(44), `${"A".repeat(42)}B`, "A".repeat(10_000)])("a nonce %j is none", async (nonce) => {
    expect(await hashHostNonce(nonce)).toBeUndefined();
  });
});
