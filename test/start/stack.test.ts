/** A whole start against a stand-in edge: what answers, what survives a restart, what is left behind. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { humanReport, jsonReport } from "../../start/report.ts";
import { type Stack, type StackOptions, startStack } from "../../start/stack.ts";
import { FIXTURE, processesNaming, temporaryState, until } from "./running-stack.ts";

let state: ReturnType<typeof temporaryState>;
let running: Stack | undefined;

beforeEach(() => {
  state = temporaryState();
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  state.remove();
});

const start = async (more: Partial<StackOptions> = {}): Promise<Stack> => {
  running = await startStack({ stateDirectory: state.path, port: 0, environment: {}, wranglerConfig: FIXTURE, withoutConnectors: true, ...more });
  return running;
};
const seen = async (stack: Stack, headers: Record<string, string> = {}): Promise<Record<string, unknown>> =>
  JSON.parse((await loopbackFetch(`${stack.launcher}/seen`, { headers })).text) as Record<string, unknown>;

describe("startStack", () => {
  it("runs edge, provider and sample apps, and keeps issuer, apps and storage over a restart", async () => {
    const first = await start();
    expect(first.launcher).toBe(`http://postern.localhost:${first.port}`);
    const discovery = JSON.parse((await loopbackFetch(`${first.issuer}/.well-known/openid-configuration`)).text) as Record<string, unknown>;
    expect(discovery["issuer"]).toBe(first.issuer);
    expect((await loopbackFetch(`${first.launcher}/count`)).text).toBe("1");
    const document = readFileSync(first.documentFile, "utf8");
    await first.stop();
    const second = await start();
    expect(second.issuer).toBe(first.issuer);
    expect(second.launcher).toBe(first.launcher);
    expect(readFileSync(second.documentFile, "utf8")).toBe(document);
    expect((await loopbackFetch(`${second.launcher}/count`)).text).toBe("2");
    await second.restartEdge();
    expect((await loopbackFetch(`${second.launcher}/count`)).text).toBe("3");
  });

  it("writes secrets to private files only and names none in its report", async () => {
    const stack = await start();
    expect(readFileSync(stack.tokenFile, "utf8")).toBe("pst_service\n");
    for (const name of ["setup-key", "operator-token", "demo-client-secret", "workerd.capnp", "idp.json", "postern.yaml"]) {
      expect(statSync(join(state.path, name)).mode & 0o077, name).toBe(0);
    }
    const key = readFileSync(join(state.path, "setup-key"), "utf8").trim();
    expect(Buffer.from(key, "base64url").length).toBeGreaterThanOrEqual(32);
    const secrets = [key, "pst_service", readFileSync(join(state.path, "demo-client-secret"), "utf8").trim()];
    for (const secret of secrets) {
      expect(jsonReport(stack)).not.toContain(secret);
      expect(readFileSync(join(state.path, "workerd.capnp"), "utf8")).not.toContain(secret);
      expect(processesNaming(secret)).toEqual([]);
    }
    expect(await seen(stack)).toMatchObject({ kind: "local", hasSetupKey: true });
  });

  it("reads request.cf from the facts header only with testFacts, and strips it", async () => {
    const stack = await start({ testFacts: true });
    const header = stack.factsHeader ?? "";
    expect(header).toMatch(/^x-facts-[0-9a-f]{24}$/);
    const given = await seen(stack, { [header]: '{"country":"DE"}' });
    expect(given["cf"]).toEqual({ country: "DE" });
    expect(JSON.stringify(given["headers"])).not.toContain(header);
    await stack.stop();
    const plain = await start();
    expect(plain.factsHeader).toBeUndefined();
    expect(JSON.stringify((await seen(plain, { [header]: '{"country":"DE"}' }))["cf"])).not.toContain("DE");
  });

  it("leaves no process when it is stopped", async () => {
    const stack = await start();
    expect(processesNaming(state.path).length).toBeGreaterThan(0);
    await stack.stop();
    expect(processesNaming(state.path)).toEqual([]);
    expect(existsSync(join(state.path, "lock"))).toBe(false);
  });

  it("applies a changed document on the next start with the kept token", async () => {
    await (await start()).stop();
    const changed = join(state.path, "changed.yaml");
    writeFileSync(changed, 'version: 1\ndomain: postern.localhost\nsites: [{ id: a }]\napps: [{ id: wiki, site: a, upstream: "http://10.0.0.5" }]\n');
    const stack = await start({ documentFile: changed });
    expect(stack.apps.map((app) => app.id)).toEqual(["wiki"]);
    expect(stack.users).toEqual([]);
    expect(processesNaming("idp.ts").filter((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(state.path))).toEqual([]);
  });

  it("keeps a rule that was written into the demo's postern.yaml, and says that it is applied", async () => {
    const first = await start();
    expect(first.notices).toEqual([]);
    await first.stop();
    const edited = readFileSync(first.documentFile, "utf8").replace(/^policies:\n/m, 'policies:\n  # mine\n  - id:   ci\n    effect: allow\n    apps: [hello]\n    when: { service: [ci] }\n');
    writeFileSync(first.documentFile, edited);
    const second = await start();
    expect(readFileSync(second.documentFile, "utf8")).toBe(edited);
    expect(second.notices).toEqual([`${second.documentFile} was changed: applied as version 2`]);
    await second.stop();
    const third = await start();
    expect(readFileSync(third.documentFile, "utf8")).toBe(edited);
    expect(third.notices).toEqual([]);
  });

  it("changes in the kept document the addresses of parts that moved, and nothing else", async () => {
    const first = await start();
    await first.stop();
    const port = new URL(first.issuer).port;
    const mine = `# mine: 127.0.0.1:${port}1 and 10.127.0.0.1:${port} are no parts\n`;
    writeFileSync(first.documentFile, mine + readFileSync(first.documentFile, "utf8"));
    const squatter = createServer().listen(Number(port), "127.0.0.1");
    await new Promise((up) => squatter.once("listening", up));
    const second = await start();
    squatter.close();
    expect(second.issuer).not.toBe(first.issuer);
    const text = readFileSync(second.documentFile, "utf8");
    expect(text.startsWith(mine)).toBe(true);
    expect(text).toContain(second.issuer);
    expect(text).not.toContain(`"${first.issuer}"`);
  });

  it("puts a document that was changed by hand aside when another takes its place", async () => {
    const first = await start();
    await first.stop();
    const edited = `# mine\n${readFileSync(first.documentFile, "utf8")}`;
    writeFileSync(first.documentFile, edited);
    const own = join(state.path, "own.yaml");
    writeFileSync(own, 'version: 1\ndomain: postern.localhost\nsites: [{ id: a }]\napps: [{ id: wiki, site: a, upstream: "http://10.0.0.5" }]\n');
    const second = await start({ documentFile: own });
    expect(readFileSync(`${second.documentFile}.changed`, "utf8")).toBe(edited);
    expect(second.notices[0]).toContain("postern.yaml.changed");
    await second.stop();
    const third = await start();
    expect(third.users).toHaveLength(3);
  });

  it("starts without an operator token and says how to sign in", async () => {
    const first = await start();
    await first.stop();
    rmSync(first.tokenFile);
    const second = await start();
    expect((await loopbackFetch(`${second.issuer}/.well-known/openid-configuration`)).status).toBe(200);
    expect(second.notices).toEqual([expect.stringMatching(/^no operator token: sign in as carol with `npx postern login .*--token-file carol\.token`$/)]);
    await second.stop();
    writeFileSync(second.documentFile, `# mine\n${readFileSync(second.documentFile, "utf8")}`);
    writeFileSync(second.tokenFile, "pst_ended\n");
    const third = await start();
    expect(third.notices).toEqual([expect.stringContaining("no longer taken"), expect.stringContaining("is not live yet")]);
  });

  it("lists a TCP app without an address to open", async () => {
    const report = humanReport(await start());
    expect(report).toContain("npx postern tcp tcp-echo");
    expect(report).not.toContain("//tcp-echo.");
  });

  it.each([
    {
      why: "a port that is taken",
      prepare: async () => {
        const server = createServer().listen(0, "127.0.0.1");
        await new Promise((up) => server.once("listening", up));
        return { port: (server.address() as AddressInfo).port, close: () => server.close() };
      },
      message: /port [0-9]+ is in use/,
    },
    { why: "a document that is not there", prepare: () => Promise.resolve({ documentFile: "/nonexistent.yaml", close: () => undefined }), message: /cannot be read/ },
    { why: "an edge that does not build", prepare: () => Promise.resolve({ wranglerConfig: "/nonexistent/wrangler.toml", close: () => undefined }), message: /does not build/ },
  ])("says what is wrong and leaves nothing behind: $why", async ({ prepare, message }) => {
    const { close, ...more } = await prepare();
    await expect(start(more)).rejects.toMatchObject({ name: "StartError", message: expect.stringMatching(message), fix: expect.stringMatching(/./) });
    close();
    expect(processesNaming(state.path)).toEqual([]);
  });

  it("finishes a setup that was cut short after its first answer", async () => {
    await (await start()).stop();
    writeFileSync(join(state.path, "operator-token"), "pst_first\n");
    const progress = JSON.parse(readFileSync(join(state.path, "setup.json"), "utf8")) as Record<string, unknown>;
    writeFileSync(join(state.path, "setup.json"), JSON.stringify({ ...progress, token: "first" }));
    expect(readFileSync((await start()).tokenFile, "utf8")).toBe("pst_service\n");
  });

  it("takes another port when the one of last time is taken meanwhile", async () => {
    const first = await start();
    await first.stop();
    const server = createServer().listen(first.port, "127.0.0.1");
    await new Promise((up) => server.once("listening", up));
    const second = await start();
    server.close();
    expect(second.port).not.toBe(first.port);
  });

  it("can be given up at any step and leaves no process", async () => {
    for (const step of ["starting the edge", "starting the parts", "bringing the document live"]) {
      const giveUp = new AbortController();
      const onProgress = (line: string): void => {
        if (line.startsWith(step)) giveUp.abort();
      };
      await expect(start({ signal: giveUp.signal, onProgress }), step).rejects.toMatchObject({ name: "StartError" });
      expect(processesNaming(state.path), step).toEqual([]);
    }
  });

  it("names secrets that have no value", async () => {
    const file = join(state.path, "own.yaml");
    writeFileSync(file, 'version: 1\ndomain: a.localhost\nidentity: { providers: [{ id: corp, issuer: "http://127.0.0.1:9", client_id: x, client_secret: { secret: CORP_SECRET } }] }\n');
    await expect(start({ documentFile: file })).rejects.toMatchObject({ message: expect.stringContaining("CORP_SECRET") });
    const stack = await start({ documentFile: file, environment: { CORP_SECRET: "x" } });
    expect(stack.issuer).toBe("http://127.0.0.1:9");
  });

  it("refuses a second start on the same state folder while the first runs", async () => {
    const stack = await start();
    await expect(startStack({ stateDirectory: state.path, port: 0, environment: {}, wranglerConfig: FIXTURE, withoutConnectors: true })).rejects.toMatchObject({ name: "StartError", message: expect.stringContaining("in use") });
    expect((await loopbackFetch(`${stack.launcher}/.postern/ready`)).status).toBe(200);
  });

  it("ends everything when the process that started it is killed", async () => {
    const script = `import { startStack } from ${JSON.stringify(join(import.meta.dirname, "../../start/stack.ts"))};
await startStack(${JSON.stringify({ stateDirectory: state.path, port: 0, environment: {}, wranglerConfig: FIXTURE, withoutConnectors: true })});
console.log("up"); setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise<void>((up) => parent.stdout.once("data", () => up()));
    expect(processesNaming(join(state.path, "workerd.capnp")).length).toBe(1);
    parent.kill("SIGKILL");
    await until(() => processesNaming(state.path).length === 0, "no process is left");
    const after = await start();
    expect((await loopbackFetch(`${after.launcher}/.postern/ready`)).status, "the lock of the killed start does not stay in the way").toBe(200);
  });
});
