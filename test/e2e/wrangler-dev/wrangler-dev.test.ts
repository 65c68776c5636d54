/**
 * `npx wrangler dev`, the way in which people who know Workers start a Worker: the launcher
 * answers, a person of the demo signs in, and an app behind a connector works. The same parts as
 * npm start, but wrangler's own engine, proxies and storage.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { startDemoParts } from "../../../start/demo-parts.ts";
import { localDocument } from "../../../start/document.ts";
import { edgeApi, untilReady } from "../../../start/edge-api.ts";
import { startConnector } from "../../../start/local-connector.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { createProcesses, plainEnvironment, type Processes } from "../../../start/processes.ts";
import { FormBrowser } from "../../start/form-browser.ts";
import { freePort } from "../../start/free-port.ts";
import { temporaryState } from "../../start/running-stack.ts";
import { visit } from "../demo-visit.ts";
import { signIn } from "../sign-in.ts";

const PROJECT = resolve(import.meta.dirname, "../../..");
const READY_TIMEOUT_MS = 60_000;

const state = temporaryState();
let processes: Processes;
let launcher = "";
let port = 0;

const appUrl = (id: string): string => `http://${id}.postern.localhost:${port}`;

beforeAll(async () => {
  mkdirSync(join(state.path, "logs"));
  processes = createProcesses(join(state.path, "logs"));
  port = await freePort();
  launcher = `http://postern.localhost:${port}`;
  const setupKey = randomBytes(32).toString("base64url");
  const secrets = { DEMO_CLIENT_SECRET: randomBytes(32).toString("base64url") };
  const envFile = join(state.path, "secrets.env");
  writeFileSync(envFile, `POSTERN_SETUP_KEY=${setupKey}\nDEMO_CLIENT_SECRET=${secrets.DEMO_CLIENT_SECRET}\n`, { mode: 0o600 });
  const wrangler = dirname(createRequire(import.meta.url).resolve("wrangler/package.json"));
  const child = processes.start({
    name: "wrangler",
    argv: [
      process.execPath, join(wrangler, "bin/wrangler.js"), "dev",
      "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", String(await freePort()),
      "--persist-to", join(state.path, "storage"), "--env-file", envFile, "--var", "POSTERN_EDGE_KIND:local",
      "--infer-origin-from-routes=false", "--show-interactive-dev-session=false",
    ],
    cwd: PROJECT,
    env: {
      ...plainEnvironment(),
      CI: "1",
      WRANGLER_SEND_METRICS: "false",
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
      WRANGLER_LOG_PATH: join(state.path, "logs/wrangler"),
      WRANGLER_REGISTRY_PATH: join(state.path, "registry"),
    },
  });
  const ready = untilReady(`${launcher}/.postern/ready`, "wrangler dev", READY_TIMEOUT_MS, child.ended).catch((cause: unknown) => {
    throw new Error(`wrangler dev is not ready:\n${readFileSync(child.logFile, "utf8").slice(-2_000)}`, { cause });
  });
  const document = localDocument(readFileSync(join(PROJECT, "start/demo.yaml"), "utf8"), "demo.yaml");
  const [ports] = await Promise.all([startDemoParts({ processes, document, stateDirectory: state.path, launcher, secrets }), ready]);
  const api = edgeApi(launcher);
  const operatorToken = await api.setup(setupKey, document.render(ports));
  // The setup's token is an operator's until the document's own are there.
  const service = await api.createService(operatorToken, "local-operator", "1d");
  await startConnector({ processes, api, operatorToken: service, site: "office", stateDirectory: join(state.path, "connector") });
}, 120_000);
afterAll(async () => {
  await processes.stopAll();
  state.remove();
}, 30_000);

describe("wrangler dev", () => {
  it("serves the launcher: a stranger is sent to sign in, a signed-in person sees their apps", async () => {
    expect((await loopbackFetch(`${launcher}/`, { headers: { accept: "application/json" } })).status).toBe(401);
    const page = await visit(new FormBrowser(), `${launcher}/`, "alice");
    expect(page?.status).toBe(200);
    expect(page?.text).toContain("Hello");
  });

  it("carries a signed-in person to an app, which verifies who they are", async () => {
    const page = await visit(new FormBrowser(), appUrl("hello"), "alice");
    expect(page?.text).toContain("alice@example.com");
    expect(page?.text).toContain("Verified against the launcher");
  });

  it("carries WebSocket messages", async () => {
    const alice = await signIn(appUrl("echo"), "alice");
    const socket = new WebSocket(`ws://127.0.0.1:${port}/socket`, { headers: alice.headers(appUrl("echo")) });
    const answer = await new Promise<string>((heard, fail) => {
      socket.on("error", fail);
      socket.on("unexpected-response", (_request, response) => fail(new Error(`refused: ${response.statusCode}`)));
      socket.on("open", () => socket.send("hello"));
      socket.on("message", (data: Buffer) => heard(data.toString()));
    });
    socket.terminate();
    expect(answer).toBe("hello");
  });
});
