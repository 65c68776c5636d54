/** Runs a command line of the CLI inside the test and keeps what it printed. */
import { randomBytes } from "node:crypto";
import { PassThrough } from "node:stream";
import type { Duplex } from "node:stream";
import type { Io } from "../../cli/io.ts";
import { run } from "../../cli/run.ts";

export interface Ran {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

export interface Surroundings {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly stdin?: string;
  readonly now?: number;
  readonly ask?: Io["ask"];
  readonly duplex?: Duplex;
  readonly stopped?: Promise<void>;
  /** Told what goes to standard error, at once. */
  readonly heard?: (text: string) => unknown;
}

export async function runCommand(argv: readonly string[], { env = {}, stdin = "", now, ask, duplex, stopped, heard }: Surroundings = {}): Promise<Ran> {
  const out: Buffer[] = [];
  let err = "";
  const exit = await run(argv, {
    out: (chunk) => void out.push(Buffer.from(chunk)),
    err: (text) => {
      err += text;
      heard?.(text);
    },
    env,
    now: now === undefined ? Date.now : () => now,
    random: randomBytes,
    stdin: () => Promise.resolve(stdin),
    duplex: () => duplex ?? new PassThrough(),
    stopped: () => stopped ?? new Promise(() => undefined),
    ...(ask === undefined ? {} : { ask }),
  });
  return { exit, out: Buffer.concat(out).toString("utf8"), err };
}

/** What --json printed. */
export function jsonOf<T>(ran: Ran): T {
  return JSON.parse(ran.out) as T;
}
