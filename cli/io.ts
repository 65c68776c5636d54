/** What a command may touch outside itself besides files and the edge; tests give their own. */
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline/promises";
import type { Duplex } from "node:stream";
import { stdioConnection } from "./stdio-connection.ts";

export interface Io {
  readonly out: (chunk: string | Uint8Array) => void;
  readonly err: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** ms since the epoch. */
  readonly now: () => number;
  readonly random: (bytes: number) => Uint8Array;
  /** All of standard input. */
  readonly stdin: () => Promise<string>;
  /** Standard input and output as one connection. */
  readonly duplex: () => Duplex;
  /** Resolves when this process is told to end. */
  readonly stopped: () => Promise<void>;
  /** Asks a person; absent without a terminal. */
  readonly ask?: (question: string) => Promise<string>;
}

/** Input larger than this is no document and no token: bounds memory. */
const MAX_STDIN_BYTES = 16 * 1024 * 1024;

async function readStdin(): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of process.stdin as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > MAX_STDIN_BYTES) throw new Error("standard input is too large");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

async function askPerson(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await terminal.question(question);
  } finally {
    terminal.close();
  }
}

function untilStopped(): Promise<void> {
  return new Promise((done) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => done());
  });
}

/** This process's. */
export function processIo(): Io {
  const isTerminal = process.stdin.isTTY && process.stderr.isTTY;
  return {
    out: (chunk) => void process.stdout.write(chunk),
    err: (text) => void process.stderr.write(text),
    env: process.env,
    now: Date.now,
    random: randomBytes,
    stdin: readStdin,
    duplex: stdioConnection,
    stopped: untilStopped,
    ...(isTerminal ? { ask: askPerson } : {}),
  };
}
