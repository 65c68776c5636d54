/**
 * Real OpenSSH through `postern ssh --proxy-command`: a large scp whose sums must be equal, and an
 * interactive session that echoes a line ten times a second. Neither may see an error.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { logTail, plainEnvironment } from "../../../start/processes.ts";
import { hasOpenSsh, startSshd } from "../../sshd.ts";
import type { Load, LoadGround } from "../load.ts";
import { linesOf } from "../named-lines.ts";
import { finish, programPath } from "../programs.ts";
import { Failures, within } from "../soak.ts";
import { agentSettings } from "../tcp-listener.ts";

const FILE_BYTES = 10_000_000_000;
/** In less time less is copied. */
const FULL_MINUTES = 15;
/** The transfer takes this share of the time, so that the restarts fall into it. */
const TRANSFER_SHARE = 0.9;
const LINE_EVERY_MS = 100;
const STARTED_WITHIN_MS = 20_000;
const ECHOED_WITHIN_MS = 90_000;

export const isHere = (): boolean => hasOpenSsh("scp");

/** Starts sshd on a port of the site's document and resolves with the options of whoever logs in. */
async function startServer({ site, folder }: LoadGround, port: number): Promise<readonly string[]> {
  const sshd = await startSshd(site.stack.processes, folder, port);
  const { program, options } = await agentSettings({ site, folder }, "ssh");
  const proxy = [process.execPath, program, "ssh", "shell", "--proxy-command", ...options].join(" ");
  const common = ["-o", `ProxyCommand=${proxy}`, ...sshd.options];
  const login = (): Promise<boolean> => finish([programPath("ssh") ?? "", ...common, `${userInfo().username}@shell`, "true"], STARTED_WITHIN_MS).then(() => true, () => false);
  if (!(await within(STARTED_WITHIN_MS, login))) throw new Error(`nobody can log in:\n${await logTail(sshd.child)}`);
  return common;
}

async function writeLarge(file: string, bytes: number): Promise<void> {
  const out = await open(file, "w");
  for (const block of linesOf("scp", bytes)) await out.write(block);
  await out.close();
}

const sumOf = async (file: string): Promise<string> => {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex");
};

export function sshLoad(port: number): (ground: LoadGround) => Promise<Load> {
  return async (ground) => {
    const { folder, scale, minutes, say } = ground;
    const failures = new Failures();
    const common = await startServer(ground, port);
    const target = `${userInfo().username}@shell`;
    const [from, to] = [join(folder, "scp-from"), join(folder, "scp-to")];
    const bytes = Math.round(FILE_BYTES * scale * Math.min(1, minutes / FULL_MINUTES));
    say(`writing ${bytes} bytes to copy`);
    await writeLarge(from, bytes);
    const kilobits = Math.max(1_000, Math.round((bytes * 8) / 1_000 / (minutes * 60 * TRANSFER_SHARE)));
    let isCopied = false;
    const copying = finish([programPath("scp") ?? "", ...common, "-l", String(kilobits), from, `${target}:${to}`], 4 * minutes * 60_000 + 120_000)
      .catch((cause: Error) => failures.add(`scp: ${cause.message}`))
      .finally(() => (isCopied = true));

    const shell = spawn(programPath("ssh") ?? "", [...common, target, "cat"], { stdio: ["pipe", "pipe", "pipe"], env: plainEnvironment() });
    let sent = 0;
    let heard = "";
    let echoed = 0;
    let isOver = false;
    let said = "";
    shell.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    shell.stdin.on("error", () => undefined);
    shell.stdout.on("data", (chunk: Buffer) => {
      const lines = (heard + chunk.toString()).split("\n");
      heard = lines.pop() ?? "";
      for (const line of lines) if (line !== `line ${echoed++}`) failures.add(`ssh: expected line ${echoed - 1}, got ${line.slice(0, 40)}`);
    });
    shell.once("exit", (code) => {
      if (!isOver) failures.add(`ssh ended with ${code}: ${said.trim().slice(-200)}`);
    });
    const typing = setInterval(() => shell.stdin.write(`line ${sent++}\n`), LINE_EVERY_MS);
    return {
      finished: () => isCopied,
      stop: async () => {
        clearInterval(typing);
        await copying;
        if (!(await within(ECHOED_WITHIN_MS, () => echoed >= sent || shell.exitCode !== null))) failures.add(`ssh: ${echoed} of ${sent} lines came back`);
        isOver = true;
        shell.kill();
        if (failures.count === 0 && (await sumOf(from)) !== (await sumOf(to))) failures.add("scp: the sums differ");
        return { figures: { scp_bytes: bytes, lines: echoed }, failures: failures.lines };
      },
    };
  };
}
