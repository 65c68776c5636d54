/** A real PostgreSQL behind `postern tcp`, and pgbench through all of it: no client may be aborted, no transaction fail. */
import { chmod, chown, mkdir } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { logTail, plainEnvironment } from "../../../start/processes.ts";
import type { Load, LoadGround } from "../load.ts";
import { finish, programPath } from "../programs.ts";
import { Failures, within } from "../soak.ts";
import { listenTcp } from "../tcp-listener.ts";

const CLIENTS_COUNT = 4;
const STARTED_WITHIN_MS = 60_000;

export const isHere = (): boolean => ["postgres", "initdb", "pgbench", "pg_isready"].every((name) => programPath(name) !== undefined);

/** PostgreSQL refuses to run as root: then it runs as the user that its package made. */
const asUser = async (folder: string): Promise<readonly string[]> => {
  if (userInfo().uid !== 0) return [];
  const [uid = 0, gid = 0] = (await Promise.all(["-u", "-g"].map((what) => finish(["/usr/bin/id", what, "postgres"], STARTED_WITHIN_MS)))).map(Number);
  await chown(folder, uid, gid);
  return ["/usr/bin/setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"];
};

export function pgbenchLoad(port: number): (ground: LoadGround) => Promise<Load> {
  return async (ground) => {
    const { site, folder, minutes } = ground;
    const failures = new Failures();
    const data = join(folder, "postgres");
    await mkdir(data);
    await chmod(folder, 0o711);
    const user = await asUser(data);
    const command = (name: string, ...args: readonly string[]): [string, ...string[]] => [...user, programPath(name) ?? "", ...args] as [string, ...string[]];
    await finish(command("initdb", "-D", join(data, "db"), "-U", "soak", "--auth=trust", "--no-sync"), STARTED_WITHIN_MS);
    const server = site.stack.processes.start({ name: "postgres", argv: command("postgres", "-D", join(data, "db"), "-h", "127.0.0.1", "-p", String(port), "-k", "", "-c", "fsync=off"), env: plainEnvironment() });
    const isReady = (): Promise<boolean> => finish([programPath("pg_isready") ?? "", "-q", "-h", "127.0.0.1", "-p", String(port)], STARTED_WITHIN_MS).then(() => true, () => false);
    if (!(await within(STARTED_WITHIN_MS, isReady))) throw new Error(`PostgreSQL did not start:\n${await logTail(server)}`);
    const local = await listenTcp(ground, "postgres");
    const through = ["-h", "127.0.0.1", "-p", String(local.port), "-U", "soak"];
    await finish([programPath("pgbench") ?? "", "-q", "-i", ...through, "postgres"], STARTED_WITHIN_MS);
    let isDone = false;
    let transactions = 0;
    const running = finish([programPath("pgbench") ?? "", "-n", "-c", String(CLIENTS_COUNT), "-T", String(Math.round(minutes * 60)), ...through, "postgres"], 4 * minutes * 60_000 + 120_000)
      .then((text) => {
        transactions = Number(/transactions actually processed: ([0-9]+)/.exec(text)?.[1] ?? 0);
        const failed = Number(/number of failed transactions: ([0-9]+)/.exec(text)?.[1] ?? 0);
        if (transactions === 0 || failed > 0 || /aborted/.test(text)) failures.add(`pgbench: ${transactions} transactions, ${failed} failed: ${text.trim().split("\n").slice(0, 3).join(" / ")}`);
      })
      .catch((cause: Error) => failures.add(cause.message))
      .finally(() => (isDone = true));
    return {
      finished: () => isDone,
      stop: async () => {
        await running;
        await local.stop();
        return { figures: { transactions }, failures: failures.lines };
      },
    };
  };
}
