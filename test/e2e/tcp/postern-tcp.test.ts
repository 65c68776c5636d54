/** `postern tcp`, `ssh` and `ssh-config` as processes, against a real edge that is killed, a connector that is killed, and a revocation. One stack for the file. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { generateConnectorKey } from "../../../identity/connector-proof.ts";
import { edgeApi } from "../../../start/edge-api.ts";
import { startConnector } from "../../../start/local-connector.ts";
import { PROJECT } from "../../architecture/source-files.ts";
import { until } from "../../start/running-stack.ts";
import { startTcpStage, type TcpStage } from "./stage.ts";

const POSTERN = join(PROJECT, "bin/postern.mjs");
const RESTARTS = 4;
const TRANSFER_BYTES = 24_000_000;
/** Chunks are paced, so that the transfer lasts as long as the restarts. */
const CHUNK_BYTES = 64 * 1024;
const FAULTS_MS = 120_000;
/** The app hears of what was destroyed before the receipt in a turn of its own loop. */
const HEARS_WITHIN_MS = 250;

let stage: TcpStage;
const folder = mkdtempSync(join(tmpdir(), "postern-tcp-"));
const children = new Set<ChildProcess>();
let files = 0;

beforeAll(async () => {
  stage = await startTcpStage();
});
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
});
afterAll(async () => {
  await stage.end();
  rmSync(folder, { recursive: true });
});

/** A token's file of its own, whose folder is an agent's state. */
async function tokenFile(service = "batch"): Promise<string> {
  const own = mkdtempSync(join(folder, `agent-${++files}-`));
  writeFileSync(join(own, "token"), service === "batch" ? stage.token : await stage.operator.createService(service), { mode: 0o600 });
  return join(own, "token");
}

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const options = (file: string): string[] => ["--edge", stage.stack.launcher, "--token-file", file];

function postern(args: readonly string[], stdin = "", env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return new Promise((done) => {
    const child = execFile(process.execPath, [POSTERN, ...args], { env: { ...process.env, ...env } }, (error, out, err) => done({ code: error === null ? 0 : Number(error.code ?? 1), out, err }));
    child.stdin?.end(stdin);
  });
}

interface Listener {
  readonly port: number;
  readonly err: () => string;
  readonly exited: Promise<number | null>;
  readonly child: ChildProcess;
}

async function listen(file: string, app = "echo"): Promise<Listener> {
  const child = spawn(process.execPath, [POSTERN, "tcp", app, "--json", ...options(file)], { stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  let err = "";
  child.stderr.on("data", (part: Buffer) => (err += part.toString()));
  const exited = once(child, "exit").then(([code]) => code as number | null);
  const [line] = (await Promise.race([once(createInterface({ input: child.stdout }), "line"), exited.then(() => [undefined])])) as [string | undefined];
  if (line === undefined) throw new Error(`it did not listen: ${err}`);
  return { port: Number((JSON.parse(line) as { listening: string }).listening.split(":").at(-1)), err: () => err, exited, child };
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  await once(socket, "connect");
  return socket;
}

/** How a socket ended, and what had come by then. */
function endOf(socket: Socket): Promise<{ readonly how: string; readonly bytes: number; readonly sum: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  return new Promise((done) => {
    const settle = (how: string): void => done({ how, bytes, sum: hash.copy().digest("hex") });
    socket.on("data", (part: Buffer) => {
      hash.update(part);
      bytes += part.length;
    });
    socket.on("end", () => settle("end"));
    socket.on("error", (error: NodeJS.ErrnoException) => settle(error.code ?? "error"));
  });
}

const hello = async (socket: Socket): Promise<void> => {
  socket.write("hello");
  await once(socket, "data");
};

describe("postern tcp", () => {
  it("carries standard input and output, and shows the connector's key once", async () => {
    const file = await tokenFile();
    const first = await postern(["tcp", "echo", "--stdio", ...options(file)], "there and back");
    expect(first).toMatchObject({ code: 0, out: "there and back" });
    const key = JSON.parse(readFileSync(join(stage.stack.connectors[0]?.stateDirectory ?? "", "key.json"), "utf8")) as { kid: string };
    expect(first.err).toContain(`SHA256:${key.kid}`);
    expect(await postern(["tcp", "echo", "--stdio", ...options(file)], "again")).toMatchObject({ code: 0, out: "again", err: "" });
  });

  it("says at once why an app does not open, with the request's id", async () => {
    const file = await tokenFile();
    expect(await postern(["tcp", "secret", ...options(file)])).toMatchObject({ code: 1, out: "", err: expect.stringMatching(/error: .*\nwhy: .*[\s\S]*request: r_/) as string });
    const json = JSON.parse((await postern(["tcp", "nothing", "--json", ...options(file)])).out) as { error: { code: string; request_id: string } };
    expect(json.error).toMatchObject({ code: "not_found", request_id: expect.stringMatching(/^r_/) as string });
    writeFileSync(file, `pst_${"A".repeat(22)}.${"A".repeat(43)}`);
    expect((await postern(["tcp", "echo", ...options(file)])).err).toContain("postern login");
  });

  it("is refused with exit 1 by another connector's key than the one it knows", async () => {
    const file = await tokenFile();
    const other = await generateConnectorKey(crypto.subtle);
    writeFileSync(join(file, "../known_connectors"), `${stage.stack.launcher} office connector ${other.publicJwk.x} 2026-01-01T00:00:00Z first-use\n`);
    for (const args of [["tcp", "echo"], ["tcp", "echo", "--stdio"]]) {
      const ran = await postern([...args, ...options(file)], "secret");
      expect(ran).toMatchObject({ code: 1, out: "" });
      expect(ran.err).toMatch(/does not trust[\s\S]*SHA256:[\s\S]*fix: /);
    }
  });

  it.each([
    ["both a port and standard input", ["tcp", "echo", "--stdio", "--listen", "127.0.0.1:0"]],
    ["an address that is none", ["tcp", "echo", "--listen", "example.com:80"]],
    ["an app that is no id", ["tcp", "Echo!"]],
    ["a trust key that is none", ["tcp", "echo", "--trust-key", "short"]],
    ["a ProxyCommand with a user", ["ssh", "--proxy-command", "me@echo"]],
  ])("does not take %s", async (_what, args) => {
    expect((await postern([...args, ...options(await tokenFile())])).code).toBe(2);
  });
});

describe("a connection through it", () => {
  it(`goes on, to the byte, while the edge is killed and started again ${RESTARTS} times`, async () => {
    const { port, exited } = await listen(await tokenFile());
    const socket = await dial(port);
    const ended = endOf(socket);
    const chunk = randomBytes(CHUNK_BYTES);
    const sent = createHash("sha256");
    let restarts = 0;
    let isRestarting = false;
    for (let bytes = 0; bytes < TRANSFER_BYTES || restarts < RESTARTS; bytes += chunk.length) {
      chunk.writeUInt32BE(bytes % 2 ** 32);
      sent.update(chunk);
      if (!socket.write(Buffer.from(chunk))) await once(socket, "drain");
      if (!isRestarting && restarts < RESTARTS && bytes > ((restarts + 1) * TRANSFER_BYTES) / (RESTARTS + 2)) {
        isRestarting = true;
        void stage.stack.restartEdge().then(() => {
          restarts += 1;
          isRestarting = false;
        });
      }
    }
    socket.end();
    expect(await ended).toMatchObject({ how: "end", sum: sent.digest("hex") });
    expect(restarts).toBe(RESTARTS);
    expect(await Promise.race([exited, Promise.resolve("running")])).toBe("running");
  }, FAULTS_MS);

  it("is cut by a revocation, at the client and at the app, and says so", async () => {
    const { port, err } = await listen(await tokenFile("other"));
    const others = new Set(stage.echo.sockets);
    const socket = await dial(port);
    await hello(socket);
    const its = [...stage.echo.sockets].filter((one) => !others.has(one));
    expect(its).toHaveLength(1);
    const ended = endOf(socket);
    const receipt = await stage.operator.revoke("service", "other");
    expect(receipt).toMatchObject({ closed: 1, complete: true });
    await until(() => its.every((one) => !stage.echo.sockets.has(one)), "the app has heard of it", HEARS_WITHIN_MS);
    expect((await ended).how).toBe("ECONNRESET");
    await until(() => err().includes("access has ended"), "the agent says why");
  });

  it("breaks, and does not end, when its connector is killed", async () => {
    const { port, err } = await listen(await tokenFile());
    const socket = await dial(port);
    await hello(socket);
    const ended = endOf(socket);
    const [first] = stage.stack.connectors;
    if (first === undefined) throw new Error("no connector");
    process.kill(first.child.pid, "SIGKILL");
    await first.child.exited;
    socket.write("what becomes of this");
    const operatorToken = readFileSync(stage.stack.tokenFile, "utf8").trim();
    await startConnector({ processes: stage.stack.processes, api: edgeApi(stage.stack.launcher), operatorToken, site: "office", stateDirectory: first.stateDirectory });
    // The same connector is back, with the same key, and does not hold the stream.
    expect((await ended).how).toBe("ECONNRESET");
    await until(() => err().includes("could not be taken up again"), "the agent says why");
    await hello(await dial(port));
  }, FAULTS_MS);
});

describe("postern ssh-config", () => {
  it("writes one block, again and again, that ssh reads, and leaves the rest alone", async () => {
    const file = await tokenFile();
    const config = join(folder, "config");
    const before = "ServerAliveInterval 7\nHost elsewhere\n  User them\n";
    writeFileSync(config, before, { mode: 0o600 });
    const write = () => postern(["ssh-config", "echo", "sink", "--write", "--file", config, ...options(file)]);
    expect((await write()).code).toBe(0);
    const once = readFileSync(config, "utf8");
    expect((await write()).code).toBe(0);
    expect(readFileSync(config, "utf8")).toBe(once);
    expect(once.endsWith(before)).toBe(true);
    expect(once.match(/^Host /gm)?.length).toBe(3);
    const ssh = await new Promise<Ran>((done) => execFile("ssh", ["-G", "-F", config, "echo.postern.localhost"], (error, out, err) => done({ code: error === null ? 0 : 1, out, err })));
    if (ssh.code !== 0) return;
    expect(ssh.out).toMatch(/^proxycommand .*postern\.mjs ssh --proxy-command .* echo$/m);
    expect(ssh.out).toMatch(/^serveraliveinterval 7$/m);
  });

  it("lists the TCP apps that the token opens", async () => {
    const { out } = await postern(["ssh-config", "--json", ...options(await tokenFile())]);
    expect((JSON.parse(out) as { hosts: { app: string }[] }).hosts.map(({ app }) => app)).toEqual(["echo", "sink", "source"]);
  });
});
