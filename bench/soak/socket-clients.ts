/**
 * Many WebSocket clients as a process. Its parent sends the plan, then "check" as often as it likes:
 * one numbered message on each socket, and the echo of it. What is dropped in between is counted.
 */
import { WebSocket } from "ws";
import { pause } from "./soak.ts";

export interface Plan {
  readonly port: number;
  readonly host: string;
  readonly count: number;
  readonly atOnce: number;
  /** Bearers in turn; none for a yardstick. */
  readonly tokens: readonly string[];
}

export interface Opened {
  readonly opened: number;
  readonly refused: number;
  readonly seconds: number;
  readonly pid: number;
}

export interface Checked {
  readonly echoed: number;
  readonly dropped: number;
  /** How often each close code came. */
  readonly codes: Readonly<Record<string, number>>;
  readonly worstMs: number;
}

const ECHO_TIMEOUT_MS = 60_000;
const OPEN_TIMEOUT_MS = 30_000;
const MAX_ATTEMPTS_COUNT = 5;
const AFTER_REFUSAL_MS = 200;
const AT_ONCE_COUNT = 100;
const BETWEEN_MS = 100;
const sockets: WebSocket[] = [];
let dropped = 0;
const codes: Record<string, number> = {};
let checks = 0;

function open({ port, host, tokens }: Plan, number: number): Promise<boolean> {
  const token = tokens[number % tokens.length];
  const socket = new WebSocket(`ws://127.0.0.1:${port}/${number}`, { headers: { host, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }, perMessageDeflate: false, handshakeTimeout: OPEN_TIMEOUT_MS });
  return new Promise((done) => {
    let isOpen = false;
    socket.on("open", () => {
      isOpen = true;
      sockets.push(socket);
      done(true);
    });
    socket.on("error", () => done(false));
    socket.on("close", (code: number) => {
      if (!isOpen) return;
      dropped++;
      codes[code] = (codes[code] ?? 0) + 1;
    });
  });
}

async function openAll(plan: Plan): Promise<Opened> {
  const startedAt = performance.now();
  const numbers = Array.from({ length: plan.count }, (_, number) => number).values();
  let refused = 0;
  await Promise.all(Array.from({ length: plan.atOnce }, async () => {
    for (const number of numbers) {
      // A full accept queue is met by trying again, as a browser would.
      for (let attempt = 1; !(await open(plan, number)); attempt++) {
        refused++;
        if (attempt === MAX_ATTEMPTS_COUNT) break;
        await pause(AFTER_REFUSAL_MS);
      }
    }
  }));
  return { opened: sockets.length, refused, seconds: (performance.now() - startedAt) / 1000, pid: process.pid };
}

async function check(): Promise<Checked> {
  const text = `check ${++checks}`;
  let echoed = 0;
  let worstMs = 0;
  let over = 0;
  const open = sockets.filter((socket) => socket.readyState === socket.OPEN);
  for (const [number, socket] of open.entries()) {
    const sentAt = performance.now();
    socket.once("message", (data: Buffer) => {
      over++;
      if (data.toString() !== `${text} ${number}`) return;
      echoed++;
      worstMs = Math.max(worstMs, performance.now() - sentAt);
    });
    socket.send(`${text} ${number}`);
    // Some at a time: the time of an echo is not that of ten thousand writes before it.
    if (number % AT_ONCE_COUNT === AT_ONCE_COUNT - 1) await pause(BETWEEN_MS);
  }
  const deadline = performance.now() + ECHO_TIMEOUT_MS;
  while (over < open.length && performance.now() < deadline) await pause(20);
  return { echoed, dropped, codes, worstMs };
}

process.on("message", (asked: Plan | "check") => {
  void (asked === "check" ? check() : openAll(asked)).then((answer) => process.send?.(answer));
});
process.on("disconnect", () => process.exit(0));
process.send?.("ready");
