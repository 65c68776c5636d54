/**
 * Peer `ssh-R`: OpenSSH's remote forwarding, as people use it to reach a private app: an sshd of its
 * own on loopback with a key made for the run, and a client that dials out to it. Encrypted.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { plainEnvironment } from "../../start/processes.ts";
import { freePort } from "../../test/start/free-port.ts";
import { programPath, untilServing, withProcesses } from "./peer.ts";
import { AbsentError, type Ground, type System } from "./system.ts";

const run = promisify(execFile);
/** An sshd that is root wants this folder; Debian makes it when its service starts. */
const PRIVILEGE_SEPARATION_FOLDER = "/run/sshd";

async function makeKey(file: string): Promise<void> {
  await run(programPath("ssh-keygen"), ["-q", "-t", "ed25519", "-N", "", "-f", file]);
}

export async function startSshRemote(ground: Ground): Promise<System> {
  const [sshd, ssh] = [programPath("sshd"), programPath("ssh")];
  if (userInfo().uid === 0 && !existsSync(PRIVILEGE_SEPARATION_FOLDER)) throw new AbsentError(`sshd has no ${PRIVILEGE_SEPARATION_FOLDER}; as root: mkdir -m 755 ${PRIVILEGE_SEPARATION_FOLDER}`);
  return withProcesses(ground, "ssh", async (processes, folder) => {
    const [hostKey, userKey, config] = [join(folder, "host-key"), join(folder, "user-key"), join(folder, "sshd_config")];
    await Promise.all([makeKey(hostKey), makeKey(userKey)]);
    const [listenPort, port, tcp] = [await freePort(), await freePort(), await freePort()];
    await writeFile(config, [`Port ${listenPort}`, "ListenAddress 127.0.0.1", `HostKey ${hostKey}`, `AuthorizedKeysFile ${userKey}.pub`, "StrictModes no", "PasswordAuthentication no", "UsePAM no", "PidFile none", "PermitRootLogin yes", `PermitListen 127.0.0.1:${port} 127.0.0.1:${tcp}`, ""].join("\n"));
    const env = plainEnvironment();
    const server = processes.start({ name: "sshd", argv: [sshd, "-D", "-e", "-f", config], env });
    const client = processes.start({
      name: "ssh",
      argv: [
        ssh, "-N", "-F", "none", "-p", String(listenPort), "-i", userKey,
        ...["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "ExitOnForwardFailure=yes", "ConnectionAttempts=20", "BatchMode=yes"].flatMap((option) => ["-o", option]),
        "-R", `127.0.0.1:${port}:127.0.0.1:${ground.origin.http}`, "-R", `127.0.0.1:${tcp}:127.0.0.1:${ground.origin.tcp}`, `${userInfo().username}@127.0.0.1`,
      ],
      env,
    });
    const parts = [{ name: "edge", pid: server.pid }, { name: "connector", pid: client.pid }];
    await untilServing(port, "origin");
    return { http: { port, host: "origin", cookies: [] }, tcp: async () => ({ port: tcp, parts: () => parts }), parts: () => parts, stop: () => processes.stopAll() };
  });
}
