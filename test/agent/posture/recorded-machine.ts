/**
 * A machine written down: files, folders, links and what programs answer, in the words of each system
 * (of macOS and Windows: as their documentation shows them). What is not written down is not there; "hangs" and "floods" are what thisSystem
 * answers for both: nothing.
 */
import { MAX_OUTPUT_BYTES, type Ran, type System } from "../../../agent/posture/system.ts";

/** What it wrote when it ended well, or how it ended; "hangs" and "floods" are what they say. */
export type Answer = string | { readonly code: number; readonly out?: string; readonly err?: string };

export interface Recording {
  readonly platform: "linux" | "darwin" | "win32";
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly folders?: Readonly<Record<string, readonly string[]>>;
  readonly links?: Readonly<Record<string, string>>;
  /** By program and the words that tell it from other runs. */
  readonly runs?: Readonly<Record<string, Answer>>;
  /** Paths of which nobody can say whether they are there. */
  readonly hidden?: readonly string[];
}

export function machine({ platform, env = {}, files = {}, folders = {}, links = {}, runs = {}, hidden = [] }: Recording): System & { readonly asked: string[] } {
  const asked: string[] = [];
  const read = (path: string): Promise<string | undefined> => Promise.resolve(hidden.includes(path) || (files[path]?.length ?? 0) > MAX_OUTPUT_BYTES ? undefined : files[path]);
  return {
    asked,
    platform,
    env: (name) => env[name],
    run: (program, ...args) => {
      const line = [program, ...args].join(" ");
      asked.push(line);
      const key = Object.keys(runs).find((one) => line.includes(one));
      const answer = key === undefined ? undefined : runs[key];
      if (answer === undefined || answer === "hangs" || answer === "floods") return Promise.resolve(undefined);
      const ran: Ran = typeof answer === "string" ? { code: 0, out: answer, err: "" } : { out: "", err: "", ...answer };
      return Promise.resolve(ran);
    },
    read,
    readEnd: read,
    list: (path) => Promise.resolve(folders[path]),
    resolve: (path) => Promise.resolve(links[path] ?? path),
    exists: (path) => Promise.resolve(hidden.includes(path) ? undefined : path in files || path in folders),
  };
}
