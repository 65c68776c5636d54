/** A real OpenSSH server for the matrix, with one key that may log in, where OpenSSH is installed. */
import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { userInfo } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { plainEnvironment, type Processes } from "../../../../start/processes.ts";
import { until } from "../../../start/running-stack.ts";

export interface Sshd {
  readonly port: number;
  /** The program, and its arguments but for where and what. */
  readonly argv: readonly [string, ...string[]];
  readonly target: string;
}

/** Where servers are that no PATH names. */
const MORE_FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];

function programPath(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), ...MORE_FOLDERS];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** sshd cannot choose a port itself. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((up) => server.listen(0, "127.0.0.1", up));
  const { port } = server.address() as AddressInfo;
  await new Promise((down) => server.close(down));
  return port;
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => done(true)).on("error", () => done(false));
    socket.on("connect", () => socket.destroy());
  });

/** Undefined where OpenSSH is not installed. */
export async function startSshd(processes: Processes, folder: string): Promise<Sshd | undefined> {
  const [ssh, sshd, keygen] = ["ssh", "sshd", "ssh-keygen"].map(programPath);
  if (ssh === undefined || sshd === undefined || keygen === undefined) return undefined;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const name of ["host", "user"]) await promisify(execFile)(keygen, ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, name)]);
  copyFileSync(join(folder, "user.pub"), join(folder, "authorized_keys"));
  const port = await freePort();
  const config = join(folder, "sshd_config");
  writeFileSync(config, `Port ${port}\nListenAddress 127.0.0.1\nHostKey ${join(folder, "host")}\nAuthorizedKeysFile ${join(folder, "authorized_keys")}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\n`);
  processes.start({ name: "sshd", argv: [sshd, "-D", "-e", "-f", config], env: plainEnvironment() });
  await until(() => accepts(port), "sshd accepts connections");
  const options = ["-F", "none", "-T", "-o", `IdentityFile=${join(folder, "user")}`, "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", `UserKnownHostsFile=${join(folder, "known_hosts")}`, "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"];
  return { port, argv: [ssh, ...options], target: `${userInfo().username}@127.0.0.1` };
}

/** What runs behind the login: joins it to the app's TCP service, both ways. */
export const joinedTo = (port: number, name: string): string => `bash -c 'exec 3<>/dev/tcp/127.0.0.1/${port}; echo "open ${name}" >&3; cat <&3 & cat >&3; kill $!'`;
