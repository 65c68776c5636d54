import { EventEmitter } from "node:events";
import type { WebSocket } from "ws";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { EdgeLink } from "../../agent/edge-link.ts";
import { parseAppId } from "../../core/ids.ts";
import type { AgentAnswer } from "../../protocol/agent-link.ts";
import { Flag, FrameType, encodeFrame } from "../../protocol/frames.ts";
import { CONNECTOR, SITE, must } from "../connector/test-edge.ts";

const APP = must(parseAppId("pg"));
const REQUEST = `r_${"B".repeat(22)}` as never;

/** A socket to an edge that answers the keep-alive, and else only what a test says. */
class Socket extends EventEmitter {
  readonly OPEN = 1;
  readonly CLOSED = 3;
  readyState = 1;
  bufferedAmount = 0;
  readonly sent: (string | Uint8Array)[] = [];
  /** What the socket still has to tell: that a message has left. */
  readonly leaving: (() => void)[] = [];
  send(message: string | Uint8Array, left?: () => void): void {
    if (message === "ping") return void this.emit("message", Buffer.from("pong"), false);
    this.sent.push(message);
    if (left !== undefined) this.leaving.push(left);
  }
  close(): void {
    this.terminate();
  }
  terminate(): void {
    this.readyState = 3;
    this.emit("close");
  }
  resume(): void {
    /* Never paused. */
  }
  answer(answer: AgentAnswer): void {
    this.emit("message", Buffer.from(JSON.stringify(answer)), false);
  }
}

function stage() {
  const socket = new Socket();
  const link = new EdgeLink(socket as unknown as WebSocket);
  const open = () => {
    const outcome: { how: string } = { how: "waits" };
    link.openStream(APP, undefined, () => undefined).then(() => (outcome.how = "opened"), (error: { code: string; isPassing: boolean }) => (outcome.how = `${error.code}${error.isPassing ? ", passing" : ""}`));
    return outcome;
  };
  return { socket, link, open };
}

const opened = (stream: number): AgentAnswer => ({ t: "opened", stream, request: REQUEST, connector: CONNECTOR, site: SITE });

describe("an open that the edge does not answer", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is given up after 15 s, though the keep-alive is answered; nothing new is opened there, and what is open stays", async () => {
    const { socket, link, open } = stage();
    const stands = open();
    socket.answer(opened(1));
    const hangs = open();
    await vi.advanceTimersByTimeAsync(14_999);
    expect([stands.how, hangs.how, link.isOpen]).toEqual(["opened", "waits", true]);
    await vi.advanceTimersByTimeAsync(1);
    expect([hangs.how, link.isOpen, link.isOver, link.streamCount]).toEqual(["edge_unanswered, passing", false, false, 1]);
  });

  it("ends the link when it is the second, and at once when nothing else is on it", async () => {
    const busy = stage();
    busy.open();
    busy.socket.answer(opened(1));
    const both = [busy.open(), busy.open()];
    const alone = stage();
    alone.open();
    await vi.advanceTimersByTimeAsync(15_000);
    expect(both.map(({ how }) => how)).toEqual(["edge_unanswered, passing", "edge_unanswered, passing"]);
    expect([busy.link.isOver, alone.link.isOver]).toEqual([true, true]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is reset when the answer comes after all", async () => {
    const { socket, open } = stage();
    open();
    socket.answer(opened(1));
    open();
    await vi.advanceTimersByTimeAsync(15_000);
    socket.answer(opened(3));
    expect(socket.sent.at(-1)).toEqual(encodeFrame(FrameType.windowUpdate, Flag.rst, 3, 0));
  });
});

describe("a mark of the edge", () => {
  const said = (socket: Socket): string[] => socket.sent.filter((one) => typeof one === "string");

  it("AG8: is repeated as it is, behind what came before it", () => {
    const { socket } = stage();
    for (const n of [7, 2 ** 32 - 1]) {
      socket.answer({ t: "mark", n });
      expect(said(socket).at(-1)).toBe(JSON.stringify({ t: "mark", n }));
      for (const left of socket.leaving.splice(0)) left();
    }
    expect(said(socket)).toHaveLength(2);
  });

  it("AG8: has one answer at a time in the socket, of the newest, however many an edge sends that reads nothing", () => {
    const { socket } = stage();
    for (let n = 0; n < 10_000; n++) socket.answer({ t: "mark", n });
    expect(said(socket)).toEqual([JSON.stringify({ t: "mark", n: 0 })]);
    for (const left of socket.leaving.splice(0)) left();
    expect(said(socket)).toEqual([0, 9_999].map((n) => JSON.stringify({ t: "mark", n })));
    for (const left of socket.leaving.splice(0)) left();
    expect(said(socket)).toHaveLength(2);
  });
});
