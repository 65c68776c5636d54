/** The same frames as the original: hashicorp/yamux in Go, if Go and Debian's package of it are here. */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as path } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OurEnd, file, sha256 } from "./interop.ts";

const GOPATH = "/usr/share/gocode";
const SIZE = 4 * 1024 * 1024;
const BUILD_MS = 120_000;

function missing(): string | undefined {
  if (!existsSync(`${GOPATH}/src/github.com/hashicorp/yamux`)) return "golang-github-hashicorp-yamux-dev is not installed";
  try {
    execFileSync("go", ["version"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "go is not installed";
  }
}

const reason = missing();
if (reason !== undefined) process.stdout.write(`skipped: interoperability with hashicorp/yamux, because ${reason}\n`);

describe.skipIf(reason !== undefined)("ours against hashicorp/yamux", () => {
  let folder = "";
  const running = new Set<ChildProcessWithoutNullStreams>();
  beforeAll(() => {
    folder = mkdtempSync(path(tmpdir(), "postern-yamux-"));
    execFileSync("go", ["build", "-o", path(folder, "peer"), fileURLToPath(new URL("./hashicorp-peer.go", import.meta.url))], {
      env: { ...process.env, GO111MODULE: "off", GOPATH, GOCACHE: path(folder, "cache"), GOFLAGS: "" },
    });
  }, BUILD_MS);
  afterAll(() => {
    for (const child of running) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });

  function peer(role: "connector" | "edge", ...args: readonly string[]): { ours: OurEnd; child: ChildProcessWithoutNullStreams; said: () => string } {
    const [mode = "echo", ...rest] = args;
    const child = spawn(path(folder, "peer"), [mode, role === "edge" ? "client" : "server", ...rest]);
    running.add(child);
    child.once("exit", () => running.delete(child));
    child.stdin.on("error", () => undefined);
    let said = "";
    child.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
    const ours = new OurEnd(role, (bytes) => void child.stdin.write(bytes));
    child.stdout.on("data", (bytes: Buffer) => ours.receive(bytes));
    return { ours, child, said: () => said };
  }

  it.each(["edge", "connector"] as const)("FR1 FC1 FC11: as %s, three files that we send come back whole", async (role) => {
    const { ours, child, said } = peer(role, "echo");
    const files = [1, 2, 3].map((seed) => file(seed * 104_729, SIZE));
    expect(await Promise.all(files.map((content) => ours.exchange(content)))).toEqual(files.map((content) => sha256([content])));
    expect([ours.mux.streamCount, ours.mux.counters.ignored, ours.mux.counters.overruns]).toEqual([0, 0, 0]);
    // Credit that crosses its close is a warning there, and late here (ST8).
    expect(said()).not.toContain("[ERR]");
    child.kill();
  });

  it.each(["edge", "connector"] as const)("FR1 FC1 FC11: as %s, three files that they send come back whole", async (role) => {
    const { ours, child, said } = peer(role, "send", String(SIZE));
    const code = await new Promise((resolve) => child.once("exit", resolve));
    expect([code, said()]).toEqual([0, "three files came back whole\n"]);
    expect([ours.mux.counters.accepted, ours.mux.counters.ignored, ours.mux.counters.overruns]).toEqual([3, 0, 0]);
  });
});
