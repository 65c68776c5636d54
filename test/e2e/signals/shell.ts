/** A real OpenSSH server for tests, and logins through an agent's connection to it. Absent OpenSSH is said by `hasOpenSsh`, never hidden. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { userInfo } from "node:os";
import { delimiter, join } from "node:path";
import type { Duplex } from "node:stream";
import { until } from "../../start/running-stack.ts";

const FOLDERS = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
const programPath = (name: string): string | undefined => FOLDERS.map((folder) => join(folder, name)).find((file) => existsSync(file));
export const hasOpenSsh = ["sshd", "ssh", "ssh-keygen"].every((name) => programPath(name) !== undefined);

export interface Shell {
  readonly port: number;
  readonly options: readonly string[];
  readonly stop: () => Promise<void>;
}

/** Starts sshd below this folder; one key may log in. */
export async function startShell(folder: string): Promise<Shell> {
  const keys = join(folder, "sshd");
  mkdirSync(keys, { mode: 0o700 });
  for (const name of ["host", "user"]) execFileSync(programPath("ssh-keygen") ?? "", ["-q", "-t", "ed25519", "-N", "", "-f", join(keys, name)]);
  copyFileSync(join(keys, "user.pub"), join(keys, "authorized_keys"));
  const probe = createServer();
  await new Promise<void>((up) => probe.listen(0, "127.0.0.1", up));
  const { port } = probe.address() as AddressInfo;
  await new Promise((down) => probe.close(down));
  const config = join(keys, "sshd_config");
  writeFileSync(config, `Port ${port}\nListenAddress 127.0.0.1\nHostKey ${join(keys, "host")}\nAuthorizedKeysFile ${join(keys, "authorized_keys")}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\n`);
  const child = spawn(programPath("sshd") ?? "", ["-D", "-e", "-f", config], { stdio: "ignore" });
  const gone = new Promise((over) => child.once("exit", over));
  const answers = (): Promise<boolean> => new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port }).once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
  await until(answers, "sshd listens");
  const options = ["-F", "none", "-o", `IdentityFile=${join(keys, "user")}`, "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", `UserKnownHostsFile=${join(keys, "known_hosts")}`, "-o", "BatchMode=yes"];
  return { port, options, stop: () => { child.kill(); return gone.then(() => undefined); } };
}

export interface Login {
  readonly child: ChildProcess;
  /** Lines that came back from the shell. */
  readonly lines: () => number;
  /** Undefined while it runs. */
  readonly exit: () => number | null | undefined;
  readonly leave: () => Promise<void>;
}

const LINE_EVERY_MS = 50;

/** Logs in over connections that `through` makes, and has each line of a counter said back. */
export async function logIn(shell: Shell, through: () => Promise<{ readonly local: Duplex; readonly over: Promise<unknown> }>): Promise<Login> {
  const way = createServer((socket) => {
    socket.on("error", () => undefined);
    through().then(({ local, over }) => {
      local.on("error", () => socket.destroy());
      void over.then(() => socket.destroy());
      socket.on("close", () => local.end());
      socket.pipe(local).pipe(socket);
    }, () => socket.destroy());
  });
  await new Promise<void>((up) => way.listen(0, "127.0.0.1", up));
  const { port } = way.address() as AddressInfo;
  const child = spawn(programPath("ssh") ?? "", [...shell.options, "-p", String(port), `${userInfo().username}@127.0.0.1`, "cat"], { stdio: ["pipe", "pipe", "ignore"] });
  let lines = 0;
  let exit: number | null | undefined;
  const gone = new Promise<void>((over) => child.once("exit", (code) => {
    exit = code;
    over();
  }));
  child.stdout.on("data", (chunk: Buffer) => void (lines += chunk.toString().split("\n").length - 1));
  child.stdin.on("error", () => undefined);
  const typing = setInterval(() => child.stdin.write(`line ${lines}\n`), LINE_EVERY_MS);
  await until(() => lines > 2 || exit !== undefined, "the shell says lines back", 20_000);
  if (exit !== undefined) throw new Error(`ssh ended with ${exit}`);
  const leave = async (): Promise<void> => {
    clearInterval(typing);
    if (exit === undefined) child.kill();
    await gone;
    way.close();
  };
  return { child, lines: () => lines, exit: () => exit, leave };
}
