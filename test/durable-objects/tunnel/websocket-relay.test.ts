/** A browser that says nothing: how much it is sent, how long it is waited for, and what resets the count (M12). */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DEADLINE_TICK_MS, Deadlines } from "../../../durable-objects/tunnel/deadlines.ts";
import { BulkTickets } from "../../../durable-objects/tunnel/bulk.ts";
import type { ConnectorLink } from "../../../durable-objects/tunnel/connector-link.ts";
import { LateEnds } from "../../../durable-objects/tunnel/late-ends.ts";
import type { Lane } from "../../../durable-objects/tunnel/http-relay.ts";
import type { LiveStream } from "../../../durable-objects/tunnel/live-stream.ts";
import { WebSocketRelay } from "../../../durable-objects/tunnel/websocket-relay.ts";
import { CLOSE_CODES } from "../../../protocol/close-codes.ts";
import { encodeWebSocketMessage } from "../../../protocol/websocket-messages.ts";
import { MAX_WAITING_UP_BYTES, WaitingUp } from "../../../durable-objects/tunnel/waiting-up.ts";

const MIB = 1024 * 1024;
/** As in websocket-relay.ts: the most that a silent browser is sent, and how long it may stay silent then. */
const UNHEARD_BYTES = 4 * MIB;
const UNHEARD_MS = 30_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A relay between an app that has credit for `mib` MiB and a browser that is only counted. */
function relayed(waitingUp = new WaitingUp()) {
  const seen = { reset: false, how: undefined as string | undefined, sent: 0, consumed: 0, closed: undefined as number | undefined, stored: undefined as { unheard?: number } | undefined };
  const socket = {
    send: (message: string | Uint8Array) => void (seen.sent += message.length),
    close: (code: number) => void (seen.closed ??= code),
    serializeAttachment: (stored: { unheard?: number }) => void (seen.stored = stored),
  };
  const mux = { consumed: (_id: number, bytes: number) => void (seen.consumed += bytes), snapshot: () => ({ credit: 0, window: 0, held: 0, flags: 0 }), end: () => undefined };
  const app = { credit: Number.POSITIVE_INFINITY };
  const write = (_id: number, bytes: Uint8Array): number => {
    const taken = Math.min(app.credit, bytes.length);
    app.credit -= taken;
    return taken;
  };
  const link = { mux, flush: () => undefined, write, release: () => undefined, resetStream: () => void (seen.reset = true) };
  const lane: Lane = { waitingUp, deadlines: new Deadlines(), ends: new LateEnds(), passes: () => true, renew: () => Promise.resolve(true), guard: () => () => undefined, tickets: new BulkTickets(""), noteUserByte: () => undefined, finished: (_stream, how) => void (seen.how = how) };
  const relay = new WebSocketRelay(lane, link as unknown as ConnectorLink, 2, { bytesIn: 0, bytesOut: 0 } as LiveStream, socket as unknown as WebSocket);
  const push = async (bytes: number): Promise<void> => {
    relay.data(encodeWebSocketMessage({ type: "binary", bytes: new Uint8Array(bytes) }));
    await vi.advanceTimersByTimeAsync(0);
  };
  return { relay, seen, push, app };
}

describe("what no app takes of many browsers", () => {
  it("is bounded over the whole lane: the one on which most waits ends with 1013, and its room is free again (M11)", async () => {
    const waiting = new WaitingUp();
    const all = Array.from({ length: 40 }, () => relayed(waiting));
    for (const { app } of all) app.credit = 0;
    const [most, ...others] = all;
    const send = async (one: (typeof all)[number] | undefined, bytes: number): Promise<void> => {
      one?.relay.fromClient("x".repeat(bytes));
      await vi.advanceTimersByTimeAsync(0);
    };
    await send(most, 900_000);
    for (const one of others) await send(one, MAX_WAITING_UP_BYTES / 40);
    expect(all.filter(({ seen }) => seen.closed !== undefined)).toEqual([most]);
    expect(most?.seen.closed).toBe(CLOSE_CODES.overloaded.code);
  });
});

describe("a browser that went", () => {
  const tick = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

  it("is waited for as long as the app takes what it left, and then no longer than a stalled app may: the stream ends at both ends", async () => {
    const { relay, seen, app } = relayed();
    app.credit = 10;
    relay.fromClient("x".repeat(1000));
    relay.clientClosed(1000, "");
    await tick(UNHEARD_MS - 1_000);
    app.credit = 10;
    relay.writable();
    await tick(UNHEARD_MS - 1_000);
    expect(seen.how).toBeUndefined();
    await tick(1_000 + DEADLINE_TICK_MS);
    expect([seen.how, seen.reset]).toEqual(["broken", true]);
  });

  it("is told to an app that takes all that it left", async () => {
    const { relay, seen, app } = relayed();
    app.credit = 10;
    relay.fromClient("x".repeat(1000));
    relay.clientClosed(1000, "");
    app.credit = 10_000;
    relay.writable();
    await tick(0);
    expect([seen.how, seen.reset]).toEqual(["done", false]);
    await tick(2 * UNHEARD_MS);
    expect([seen.how, seen.reset]).toEqual(["done", false]);
  });
});

describe("a browser that says nothing", () => {
  it("is sent a bounded weight; then the app gets no credit, and the socket closes with 1013", async () => {
    const { seen, push } = relayed();
    for (let i = 0; i < 100; i++) await push(64 * 1024);
    expect(seen.sent).toBeLessThanOrEqual(UNHEARD_BYTES + 64 * 1024);
    expect(seen.consumed).toBeLessThan(seen.sent);
    await vi.advanceTimersByTimeAsync(UNHEARD_MS - 1);
    expect(seen.closed).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(seen.closed).toBe(CLOSE_CODES.overloaded.code);
  });

  it("is sent far fewer bytes in tiny messages, since each of them weighs", async () => {
    const { seen, push } = relayed();
    for (let i = 0; i < 10_000; i++) await push(10);
    expect(seen.sent).toBeLessThan(UNHEARD_BYTES / 50);
  });

  it("gets more as soon as it says anything", async () => {
    const { relay, seen, push } = relayed();
    for (let i = 0; i < 100; i++) await push(64 * 1024);
    for (let round = 0; round < 3; round++) {
      const before = seen.sent;
      relay.fromClient("on");
      await vi.advanceTimersByTimeAsync(UNHEARD_MS / 2);
      expect(seen.sent).toBeGreaterThanOrEqual(Math.min(100 * 64 * 1024, before + 32 * 64 * 1024));
    }
    expect(seen.sent).toBe(100 * 64 * 1024);
    expect(seen.closed).toBeUndefined();
  });

  it("is not forgotten while the lane sleeps (M3)", async () => {
    const { seen, push } = relayed();
    await push(1000);
    expect(seen.stored?.unheard).toBeGreaterThan(2000);
  });
});
