/**
 * Live revocation as people see it (promise 3): what is open ends with its receipt, within 250 ms at a
 * page that reads, and nothing that the app wrote after the receipt arrives.
 */
import { readFileSync } from "node:fs";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseDocument } from "yaml";
import { openStage, type Receipt, type Stage, visitAs } from "./stage.ts";

/** CONTRACT "The receipt": at a client that reads, the connection has ended this long after it. */
const MAX_AFTER_RECEIPT_MS = 250;

let stage: Stage;
let profile: BrowserContext;
let page: Page;
beforeAll(async () => {
  stage = await openStage();
  profile = await stage.profile();
  page = await profile.newPage();
});
afterAll(() => stage?.close());

/** When a page itself did not run, from and to (Unix time, ms): what it cannot be blamed for on a busy machine. */
type Stalls = readonly (readonly [number, number])[];
const WATCH = `window.stalls = []; { let last = Date.now(); setInterval(() => { const now = Date.now(); if (now - last > 20) stalls.push([last, now]); last = now; }, 5); }`;

interface Seen {
  /** When the app wrote each tick, on the clock that all processes of this machine share. */
  readonly stamps: readonly string[];
  readonly endedAtMs: number;
  readonly stalls: Stalls;
}

interface Cut {
  readonly code: number;
  readonly endedAtMs: number;
  readonly stalls: Stalls;
}

/** How long after the receipt a page saw the end, while it ran. */
const after = (atMs: number, { endedAtMs, stalls }: Seen | Cut): number => endedAtMs - atMs - stalls.reduce((sum, [from, to]) => sum + Math.max(0, Math.min(to, endedAtMs) - Math.max(from, atMs)), 0);

/** A tab with an event stream, and one with a WebSocket that was answered once. */
async function openStreams(): Promise<{ readonly ended: () => Promise<Seen>; readonly closed: () => Promise<Cut> }> {
  const [clock, echo] = [await profile.newPage(), await profile.newPage()];
  await clock.goto(stage.at("clock"));
  await clock.evaluate(`${WATCH} window.seen = { stamps: [] }; window.stream = new EventSource("/events");
    stream.onmessage = ({ data }) => { seen.stamps.push(JSON.parse(data).monotonic_ns); };
    stream.onerror = () => { seen.endedAtMs ??= Date.now(); };`);
  await clock.waitForFunction("seen.stamps.length > 0");
  await echo.goto(stage.at("echo"));
  await echo.evaluate(`${WATCH} window.mine = new WebSocket(location.origin.replace("http", "ws") + "/x");
    mine.onopen = () => mine.send("are you there?"); mine.onmessage = ({ data }) => { window.answered = data; };
    mine.onclose = ({ code }) => { window.cut = { code, endedAtMs: Date.now() }; };`);
  await echo.waitForFunction("window.answered === 'are you there?'");
  return {
    ended: async () => {
      await clock.waitForFunction("seen.endedAtMs");
      // The browser asks again by itself; only when that was refused is it sure that nothing more comes.
      await clock.waitForFunction("stream.readyState === EventSource.CLOSED");
      const seen = await clock.evaluate<Seen>("({ ...seen, stalls })");
      await clock.close();
      return seen;
    },
    closed: async () => {
      await echo.waitForFunction("window.cut");
      const closed = await echo.evaluate<Cut>("({ ...window.cut, stalls })");
      await echo.close();
      return closed;
    },
  };
}

describe("live revocation", () => {
  it("of a user: the event stream ends within 250 ms of the receipt and nothing follows, the WebSocket closes with 4401, and the next page is at sign-in", async () => {
    await visitAs(page, "alice", stage.at("hello"));
    const streams = await openStreams();
    const { answer: receipt, atNs, atMs } = await stage.operate<Receipt>("/revoke", { kind: "user", id: "alice@example.com" });
    expect(receipt).toMatchObject({ complete: true, unconfirmed: [] });
    // The clock page holds a stream of its own beside the story's, and so does the echo page.
    expect(receipt.closed).toBe(4);

    const [seen, closed] = [await streams.ended(), await streams.closed()];
    expect(after(atMs, seen)).toBeLessThanOrEqual(MAX_AFTER_RECEIPT_MS);
    expect(seen.stamps.filter((stamp) => BigInt(stamp) > atNs)).toEqual([]);
    expect(closed.code).toBe(4401);
    expect(after(atMs, closed)).toBeLessThanOrEqual(MAX_AFTER_RECEIPT_MS);

    await profile.clearCookies({ domain: "127.0.0.1" });
    await page.goto(stage.at("hello"));
    await page.waitForURL(`${stage.stack.issuer}/**`);
    expect(await page.getByRole("heading", { name: "Sign in" }).isVisible()).toBe(true);
  });

  it("by a document that takes the allow away: the streams are cut with 4403 and counted; what is still allowed stays", async () => {
    // Somebody else: for a moment after a revocation the same person's sign-in is still refused.
    await visitAs(page, "carol", stage.at("hello", "/again"));
    const streams = await openStreams();
    const document = parseDocument(readFileSync(stage.stack.documentFile, "utf8"));
    document.deleteIn(["tests"]);
    document.setIn(["policies", 0, "apps"], ["hello"]);
    const { answer, status, atNs, atMs } = await stage.operate<{ receipt: Receipt }>("/policy", document.toString());
    expect(status).toBe(200);
    expect(answer.receipt).toMatchObject({ closed: 4, complete: true, unconfirmed: [] });

    const [seen, closed] = [await streams.ended(), await streams.closed()];
    expect(after(atMs, seen)).toBeLessThanOrEqual(MAX_AFTER_RECEIPT_MS);
    expect(seen.stamps.filter((stamp) => BigInt(stamp) > atNs)).toEqual([]);
    expect(closed.code).toBe(4403);
    expect((await page.goto(stage.at("clock")))?.status()).toBe(404);
    expect((await page.goto(stage.at("hello", "/again")))?.status()).toBe(200);
  });
});
