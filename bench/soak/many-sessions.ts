/**
 * Sessions in any number, made as programs make them: by exchanging their person's ID token. They
 * are stored in memory where there is room, and then carried to the disk: a disk answers one write
 * after the other, a dozen a session, and how fast it does is not what is asked here.
 */
import { execFile } from "node:child_process";
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, rmSync, statfsSync, symlinkSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { residentMB } from "../measure/proc.ts";
import type { SoakSite } from "./site.ts";
import type { Failures } from "./soak.ts";

const MEMORY = "/dev/shm";
/** Of one session on disk, its log included; rather too much. */
const SESSION_BYTES = 40_000;
const AT_ONCE_COUNT = 16;
const run = promisify(execFile);

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly ms: number;
}

/** A client of its own connections. */
export class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  call(host: string, path: string, { token, json, form }: { readonly token?: string; readonly json?: unknown; readonly form?: Readonly<Record<string, string>> } = {}): Promise<Answer> {
    const startedAt = performance.now();
    const body = form !== undefined ? new URLSearchParams(form).toString() : json === undefined ? undefined : JSON.stringify(json);
    const type = form === undefined ? "application/json" : "application/x-www-form-urlencoded";
    const headers = { host, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...(body === undefined ? {} : { "content-type": type }) };
    return new Promise((done, fail) => {
      const asked = request({ host: "127.0.0.1", port: this.#port, path, method: body === undefined ? "GET" : "POST", agent: this.#agent, headers }, (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (part: string) => (text += part));
        answer.on("end", () => done({ status: answer.statusCode ?? 0, text, ms: performance.now() - startedAt }));
      });
      asked.on("error", fail);
      asked.end(body);
    });
  }

  /** A session of whoever has this ID token; the bearer of it. */
  exchange(launcher: string, idToken: string): Promise<Answer> {
    return this.call(launcher, "/.postern/token", {
      form: { grant_type: "urn:ietf:params:oauth:grant-type:token-exchange", subject_token: idToken, subject_token_type: "urn:ietf:params:oauth:token-type:id_token", audience: "soak" },
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

export interface Made {
  /** Of each person, in the order of their tokens. */
  readonly bearers: readonly string[][];
  readonly perSecond: number;
  /** The edge's memory at its most, while the first fifth was made and afterwards; its open files at their most. */
  readonly earlyMB: number;
  readonly peakMB: number;
  readonly files: number;
}

/** Makes `own` sessions of each person, one person after the other; `idTokenOf` is asked for each. */
export async function makeSessions(site: SoakSite, people: number, own: number, idTokenOf: (person: number, n: number) => Promise<string>, failures: Failures, say: (line: string) => void): Promise<Made> {
  const client = new Client(site.stack.port);
  const launcher = new URL(site.stack.launcher).host;
  const { pid } = site.stack.edge();
  const bearers: string[][] = Array.from({ length: people }, () => []);
  const wanted = people * own;
  const most = { earlyMB: 0, peakMB: 0, files: 0 };
  let [begun, made] = [0, 0];
  const startedAt = performance.now();
  const watch = setInterval(() => {
    const [MB, files] = [residentMB(pid), readdirSync(`/proc/${pid}/fd`).length];
    most.peakMB = Math.max(most.peakMB, MB);
    if (made < wanted / 5) most.earlyMB = most.peakMB;
    most.files = Math.max(most.files, files);
  }, 1_000);
  const told = setInterval(() => say(`${made} sessions, ${Math.round(residentMB(pid))} MB`), 30_000);
  try {
    await Promise.all(Array.from({ length: AT_ONCE_COUNT }, async () => {
      for (let n = begun++; n < wanted && failures.count < 100; n = begun++) {
        const person = Math.floor(n / own);
        const { status, text } = await client.exchange(launcher, await idTokenOf(person, n % own));
        if (status === 200) bearers[person]?.push((JSON.parse(text) as { readonly access_token: string }).access_token);
        else failures.add(`a session was answered with ${status}: ${text.slice(0, 100)}`);
        made++;
      }
    }));
  } finally {
    clearInterval(watch);
    clearInterval(told);
    client.close();
  }
  return { bearers, perSecond: made / ((performance.now() - startedAt) / 1_000), ...most };
}

async function killed(site: SoakSite): Promise<void> {
  site.stack.edge().process.kill("SIGKILL");
  await site.stack.edge().exited;
}

/** Has the objects kept in memory until `toDisk` is called; does nothing where there is no room. Killed and started again both times: what was acknowledged is there. */
export async function keptInMemory(site: SoakSite, folder: string, sessions: number): Promise<{ readonly toDisk: () => Promise<void>; readonly leave: () => Promise<void> }> {
  const room = existsSync(MEMORY) ? statfsSync(MEMORY) : undefined;
  const nothing = async (): Promise<void> => undefined;
  if (room === undefined || room.bavail * room.bsize < sessions * SESSION_BYTES) return { toDisk: nothing, leave: nothing };
  const objects = join(folder, "stack/objects");
  const memory = await mkdtemp(join(MEMORY, "postern-soak-"));
  const leave = (): Promise<void> => rm(memory, { recursive: true, force: true });
  await killed(site);
  await run("mv", [objects, join(memory, "objects")]);
  symlinkSync(join(memory, "objects"), objects);
  await site.stack.restartEdge();
  return {
    toDisk: async () => {
      await killed(site);
      rmSync(objects);
      await run("cp", ["-a", join(memory, "objects"), objects]);
      await run("sync", ["-f", objects]);
      await leave();
      await site.stack.restartEdge();
    },
    leave,
  };
}

/** How long the disk takes to say that a page is on it, milliseconds: the middle one of a hundred. */
export function syncMs(folder: string): number {
  const file = openSync(join(folder, "synced"), "w");
  const took = Array.from({ length: 100 }, () => {
    const began = performance.now();
    writeSync(file, Buffer.alloc(4_096));
    fsyncSync(file);
    return performance.now() - began;
  });
  closeSync(file);
  return took.sort((a, b) => a - b)[50] ?? 0;
}
