/** A real OpenSSH server of this run on a port of this machine, with one key that may log in. Absence is said, never hidden. */
import { writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { type Child, plainEnvironment, type Processes } from "../start/processes.ts";
import { privateFolder } from "../start/state-files.ts";
import { finish, programPath } from "./soak/programs.ts";

const KEYS_WITHIN_MS = 20_000;
/** Logins under way at once, before sshd begins to refuse some. */
const MAX_STARTUPS_COUNT = 1_000;

export const hasOpenSsh = (...more: readonly string[]): boolean => ["sshd", "ssh", "ssh-keygen", ...more].every((name) => programPath(name) !== undefined);

export interface Sshd {
  readonly child: Child;
  readonly port: number;
  /** `ssh` without the program, the way and the target. */
  readonly options: readonly string[];
  readonly user: string;
}

/** A port that is free now, for a program that cannot choose one itself. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((up) => server.listen(0, "127.0.0.1", up));
  const { port } = server.address() as AddressInfo;
  await new Promise((down) => server.close(down));
  return port;
}

/** Starts sshd; nobody has logged in yet. `port`: one that a document names already. */
export async function startSshd(processes: Processes, folder: string, port: number): Promise<Sshd> {
  const keys = await privateFolder(join(folder, "sshd"));
  for (const name of ["host", "user"]) await finish([programPath("ssh-keygen") ?? "", "-q", "-t", "ed25519", "-N", "", "-f", join(keys, name)], KEYS_WITHIN_MS);
  await finish(["/bin/cp", join(keys, "user.pub"), join(keys, "authorized_keys")], KEYS_WITHIN_MS);
  const config = join(keys, "sshd_config");
  await writeFile(config, `Port ${port}\nListenAddress 127.0.0.1\nHostKey ${join(keys, "host")}\nAuthorizedKeysFile ${join(keys, "authorized_keys")}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nMaxStartups ${MAX_STARTUPS_COUNT}\nSubsystem sftp internal-sftp\n`);
  const child = processes.start({ name: "sshd", argv: [programPath("sshd") ?? "", "-D", "-e", "-f", config], env: plainEnvironment() });
  const options = ["-o", `IdentityFile=${join(keys, "user")}`, "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", `UserKnownHostsFile=${join(keys, "known_hosts")}`, "-o", "BatchMode=yes", "-F", "none"];
  return { child, port, options, user: userInfo().username };
}
