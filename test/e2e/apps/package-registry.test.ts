/**
 * A package registry from npm (verdaccio), unchanged, behind Postern: the npm CLI publishes and
 * installs through the tunnel with a service token, a tarball of 20 MB among it, byte for byte.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { plainEnvironment } from "../../../start/processes.ts";
import { type Stack, startStack } from "../../../start/stack.ts";
import { freePort } from "../../start/free-port.ts";
import { temporaryState, until } from "../../start/running-stack.ts";
import { operatorOf } from "../revocation/operator.ts";
import { oneAppDocument } from "./one-app.ts";

const LARGE_BYTES = 20 * 1024 * 1024;
const NPM_TIMEOUT_MS = 40_000;
const TEST_TIMEOUT_MS = 90_000;

const state = temporaryState();
let stack: Stack;
let registry = "";
let token = "";

/** getaddrinfo knows no `*.localhost` on plain Debian; this is what a person's resolver or hosts file does. */
const RESOLVER = `const dns = require("node:dns");
const { lookup } = dns;
dns.lookup = (name, options, done) => (name.endsWith(".localhost") ? lookup("127.0.0.1", options, done) : lookup(name, options, done));
`;

const verdaccioConfig = (folder: string): string => `storage: ${folder}/storage
uplinks: {}
packages:
  "**": { access: $all, publish: $all, unpublish: $all }
max_body_size: 64mb
web: { enable: false }
log: { type: stdout, format: json, level: error }
`;

/** The tree of a child that npm is: its own folder, cache and settings; the registry behind Postern. */
async function npm(folder: string, ...args: string[]): Promise<string> {
  const child = spawn("npm", [...args, "--userconfig", join(state.path, "npmrc"), "--cache", join(state.path, "npm-cache"), "--no-audit", "--no-fund", "--no-update-notifier"], {
    cwd: folder,
    env: { ...plainEnvironment(), NODE_OPTIONS: `--require ${join(state.path, "resolver.cjs")}` },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: NPM_TIMEOUT_MS,
  });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise<number | null>((ended) => child.on("close", ended));
  if (code !== 0) throw new Error(`npm ${args.join(" ")} ended with ${code}:\n${said.replaceAll(token, "TOKEN")}`);
  return said;
}

function makePackage(name: string, bytes: number): { readonly folder: string; readonly digest: string } {
  const folder = join(state.path, "made", name.replace("/", "+"));
  mkdirSync(folder, { recursive: true });
  const data = randomBytes(bytes);
  writeFileSync(join(folder, "data.bin"), data);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name, version: "1.0.0", files: ["data.bin"] }));
  return { folder, digest: createHash("sha256").update(data).digest("hex") };
}

beforeAll(async () => {
  const upstream = await freePort();
  writeFileSync(join(state.path, "verdaccio.yaml"), verdaccioConfig(state.path));
  writeFileSync(join(state.path, "resolver.cjs"), RESOLVER);
  const documentFile = oneAppDocument(state.path, { id: "npm", port: upstream, more: ", insecure_paths: [encoded_slash]", when: "{ service: [build] }" });
  stack = await startStack({ stateDirectory: join(state.path, "state"), port: 0, environment: {}, documentFile });
  const verdaccio = dirname(createRequire(import.meta.url).resolve("verdaccio/package.json"));
  stack.processes.start({ name: "verdaccio", argv: [process.execPath, join(verdaccio, "bin/verdaccio"), "--listen", `127.0.0.1:${upstream}`, "--config", join(state.path, "verdaccio.yaml")], env: plainEnvironment(), cwd: state.path });
  await until(async () => (await loopbackFetch(`http://127.0.0.1:${upstream}/-/ping`).catch(() => undefined))?.status === 200, "the registry answers", 20_000);
  registry = stack.apps[0]?.url ?? "";
  token = await operatorOf(stack.launcher, stack.tokenFile).createService("build");
  writeFileSync(join(state.path, "npmrc"), `registry=${registry}/\n//${new URL(registry).host}/:_authToken=${token}\n`, { mode: 0o600 });
}, 60_000);
afterAll(async () => {
  await stack.stop();
  state.remove();
});

describe("a package registry behind Postern", () => {
  it("takes and gives packages, scoped, unscoped and large, byte for byte", async () => {
    const made = { small: makePackage("small", 10_000), "@team/scoped": makePackage("@team/scoped", 300_000), large: makePackage("large", LARGE_BYTES) };
    for (const { folder } of Object.values(made)) await npm(folder, "publish", "--access", "public");
    const home = join(state.path, "home");
    mkdirSync(home);
    writeFileSync(join(home, "package.json"), JSON.stringify({ name: "home", private: true }));
    await npm(home, "install", ...Object.keys(made), "--ignore-scripts");
    for (const [name, { digest }] of Object.entries(made)) {
      expect(createHash("sha256").update(readFileSync(join(home, "node_modules", name, "data.bin"))).digest("hex"), name).toBe(digest);
    }
    // Every tarball came through Postern, not around it.
    const lock = JSON.parse(readFileSync(join(home, "package-lock.json"), "utf8")) as { packages: Record<string, { resolved?: string }> };
    const sources = Object.values(lock.packages).flatMap((one) => one.resolved ?? []);
    expect(sources).toHaveLength(3);
    for (const source of sources) expect(new URL(source).origin).toBe(registry);
  }, TEST_TIMEOUT_MS);

  it("is closed to npm without the token", async () => {
    const home = join(state.path, "stranger");
    mkdirSync(home);
    await expect(npm(home, "view", "small", "--registry", `${registry}/`, `--//${new URL(registry).host}/:_authToken=pst_${"0".repeat(32)}.${"A".repeat(43)}`)).rejects.toThrow(/E401|E403|401|403/);
  }, TEST_TIMEOUT_MS);
});
