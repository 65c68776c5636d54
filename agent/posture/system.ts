/**
 * What a check may look at: files and the output of named programs, each with a deadline and a cap.
 * Whatever goes wrong is undefined: a check that cannot see says nothing. No shell is ever started,
 * and programs are given an environment of their own, so that no variable of the user's chooses
 * what they are or in which language they answer.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, open, readdir, realpath } from "node:fs/promises";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface System {
  readonly platform: string;
  /** A variable of the user's session; desktops say there what they are. */
  readonly env: (name: string) => string | undefined;
  /** Undefined: it could not be started, took too long, or wrote too much. */
  readonly run: (program: string, ...args: readonly string[]) => Promise<Ran | undefined>;
  /** The file's text; undefined if it is not there, not readable, too large or not UTF-8. */
  readonly read: (path: string) => Promise<string | undefined>;
  /** The last part of a log, from a line's beginning. */
  readonly readEnd: (path: string) => Promise<string | undefined>;
  readonly list: (path: string) => Promise<readonly string[] | undefined>;
  /** Where a link leads in the end. */
  readonly resolve: (path: string) => Promise<string | undefined>;
  /** Undefined when nobody can say: a folder on the way that may not be searched. */
  readonly exists: (path: string) => Promise<boolean | undefined>;
}

/** One program of a check; a hung one must not hold up the others. */
export const RUN_MS = 10_000;
/** Of output and of files: far more than any of them has, far less than hurts. */
export const MAX_OUTPUT_BYTES = 1024 * 1024;
const MAX_ENTRIES_COUNT = 65_536;
const UNIX_PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

/** What the programs inherit: where programs are, no language, and how a desktop's settings are found. */
function environment(platform: string): Record<string, string> {
  const kept = platform === "win32" ? ["SystemRoot", "SystemDrive", "windir", "TEMP", "USERPROFILE", "PSModulePath"] : ["HOME", "USER", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS"];
  const own = Object.fromEntries(kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
  return platform === "win32" ? own : { ...own, PATH: UNIX_PATH, LC_ALL: "C", LANG: "C" };
}

/** This machine. `runMs` bounds each program. */
export function thisSystem(runMs = RUN_MS): System {
  const { platform } = process;
  return {
    platform,
    env: (name) => process.env[name],
    run: (program, ...args) => runProgram(program, args, environment(platform), runMs),
    read: (path) => readPart(path, false),
    readEnd: (path) => readPart(path, true),
    list: (path) => listing(path),
    resolve: (path) => realpath(path).catch(() => undefined),
    exists: (path) => isThere(path),
  };
}

function runProgram(program: string, args: readonly string[], env: Record<string, string>, runMs: number): Promise<Ran | undefined> {
  return new Promise((done) => {
    // A group of its own, so that what it starts ends with it.
    const child = spawn(program, args, { env, shell: false, windowsHide: true, detached: process.platform !== "win32", stdio: ["ignore", "pipe", "pipe"] });
    const parts: { readonly out: Buffer[]; readonly err: Buffer[] } = { out: [], err: [] };
    let size = 0;
    // What it started may hold the pipes open: whoever gives up lets go of them too.
    const end = (ran: Ran | undefined): void => {
      clearTimeout(timer);
      if (ran === undefined) endGroup(child);
      child.stdout.destroy();
      child.stderr.destroy();
      done(ran);
    };
    const timer = setTimeout(() => end(undefined), runMs);
    for (const name of ["out", "err"] as const) {
      child[name === "out" ? "stdout" : "stderr"].on("data", (part: Buffer) => {
        size += part.length;
        if (size > MAX_OUTPUT_BYTES) end(undefined);
        else parts[name].push(part);
      });
    }
    child.once("error", () => end(undefined));
    child.once("close", (code) => end(code === null ? undefined : { code, out: Buffer.concat(parts.out).toString("utf8"), err: Buffer.concat(parts.err).toString("utf8") }));
  });
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === "win32") child.kill("SIGKILL");
    else process.kill(-child.pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}

/** Files of the kernel have no size that can be asked for: read until they end, or until it is too much. */
async function readPart(path: string, fromEnd: boolean): Promise<string | undefined> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { size } = await handle.stat();
      const start = fromEnd ? Math.max(0, size - MAX_OUTPUT_BYTES) : 0;
      const buffer = Buffer.alloc(Math.min(MAX_OUTPUT_BYTES, Math.max(size, 64 * 1024)) + 1);
      let length = 0;
      for (;;) {
        const { bytesRead } = await handle.read(buffer, length, buffer.length - length, start + length);
        length += bytesRead;
        if (bytesRead === 0) break;
        if (length === buffer.length && !fromEnd) return undefined;
        if (length === buffer.length) break;
      }
      const text = new TextDecoder("utf-8", { fatal: !fromEnd }).decode(buffer.subarray(0, length));
      return start === 0 ? text : text.slice(text.indexOf("\n") + 1);
    } finally {
      await handle.close();
    }
  } catch {
    return undefined;
  }
}

async function listing(path: string): Promise<readonly string[] | undefined> {
  try {
    const names = await readdir(path);
    return names.length > MAX_ENTRIES_COUNT ? undefined : names;
  } catch {
    return undefined;
  }
}

async function isThere(path: string): Promise<boolean | undefined> {
  try {
    await access(path, constants.F_OK);
    return true;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    return code === "ENOENT" || code === "ENOTDIR" ? false : undefined;
  }
}
