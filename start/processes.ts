/**
 * The processes of a stack: started in groups of their own, logged to files, ended together.
 * Restarts nothing: what dies stays dead until a person or a test starts it again.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { StartError } from "./start-error.ts";

/** How long a process may take to end after SIGTERM before it is killed; workerd waits for open requests. */
const STOP_GRACE_MS = 2_000;
/** How much of a log is shown when a process ends before it was ready. */
const LOG_TAIL_LINES = 15;

export interface ChildSpec {
  /** Names the log file and appears in messages. */
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** "ipc": a Node child that reports by process.send. "pipe": descriptor 3 is a pipe to read. */
  readonly channel?: "ipc" | "pipe";
  /** Written to standard input, which then ends; absent: no input. Secrets travel here, never in argv. */
  readonly input?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly argv: readonly string[];
  readonly logFile: string;
  readonly process: ChildProcess;
  readonly exited: Promise<Exit>;
  /** True once the process has ended. */
  readonly ended: () => boolean;
  /** Ends the process and its group: SIGTERM, then SIGKILL after the grace. Resolves when it is gone. */
  readonly stop: (graceMs?: number) => Promise<void>;
}

export interface Processes {
  readonly start: (spec: ChildSpec) => Child;
  /** Ends all children and starts none after that; safe to call twice. */
  readonly stopAll: (graceMs?: number) => Promise<void>;
}

/** Where Node keeps what it compiled, which is half of what a program of ours does until it is up. */
const COMPILE_CACHE = join(import.meta.dirname, "../node_modules/.cache/postern-compiled");

/** The environment a child of ours needs to run at all, without the secrets of the shell. */
export function plainEnvironment(): Record<string, string> {
  const kept: Record<string, string> = { NODE_COMPILE_CACHE: COMPILE_CACHE };
  for (const name of ["PATH", "HOME", "LANG", "TMPDIR", "TZ", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"]) {
    const value = process.env[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone: that is what was wanted.
  }
}

/** The last lines of a process's log, for an error message. */
export async function logTail(child: Child): Promise<string> {
  const text = await readFile(child.logFile, "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-LOG_TAIL_LINES).join("\n");
}

/** A set of processes that log to `logDirectory` (which exists) and end with this one, however it ends. */
export function createProcesses(logDirectory: string): Processes {
  const children: Child[] = [];
  const guard = spawn(process.execPath, [join(import.meta.dirname, "guard.ts")], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    env: plainEnvironment(),
  });
  guard.on("error", () => undefined);
  guard.stdin.on("error", () => undefined); // the guard was killed: orderly ends still work
  guard.unref();
  (guard.stdin as unknown as { unref?: () => void }).unref?.();

  let isOver = false;
  const start = (spec: ChildSpec): Child => {
    if (isOver) throw new StartError("the start was given up", "start again");
    const logFile = join(logDirectory, `${spec.name}.log`);
    const log = openSync(logFile, "a", 0o600);
    const [command, ...args] = spec.argv;
    const input = spec.input === undefined ? "ignore" : "pipe";
    const child = spawn(command, args, {
      stdio: [input, log, log, ...(spec.channel === undefined ? [] : [spec.channel])],
      detached: true,
      env: { ...spec.env },
      ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
    });
    closeSync(log);
    const pid = child.pid;
    let over = false;
    const exited = new Promise<Exit>((resolve) => {
      child.once("error", () => {
        over = true;
        resolve({ code: 127, signal: null });
      });
      child.once("exit", (code, signal) => {
        over = true;
        if (pid !== undefined) {
          signalGroup(pid, "SIGKILL"); // whatever it left behind in its group
          guard.stdin.write(`-${pid}\n`);
        }
        resolve({ code, signal });
      });
    });
    if (pid === undefined) throw new Error(`cannot run ${command}`);
    guard.stdin.write(`+${pid}\n`);
    if (spec.input !== undefined) {
      child.stdin?.on("error", () => undefined);
      child.stdin?.end(spec.input);
    }
    const stop = async (graceMs: number = STOP_GRACE_MS): Promise<void> => {
      if (over) return;
      signalGroup(pid, "SIGTERM");
      const timer = setTimeout(() => signalGroup(pid, "SIGKILL"), graceMs);
      await exited;
      clearTimeout(timer);
    };
    const started: Child = { name: spec.name, pid, argv: spec.argv, logFile, process: child, exited, ended: () => over, stop };
    children.push(started);
    return started;
  };

  const stopAll = async (graceMs?: number): Promise<void> => {
    isOver = true;
    await Promise.all(children.toReversed().map((child) => child.stop(graceMs)));
    guard.stdin.end();
  };

  return { start, stopAll };
}
