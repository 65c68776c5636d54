/**
 * The Worker under miniflare, restarted on the state it left, and twice beside itself over the
 * same objects: what was acknowledged is there, and no instance believes its own memory.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { canonical } from "../canonical.ts";
import { type EdgeBundle, edgeBundle } from "../../start/edge-bundle.ts";
import { PROJECT } from "../architecture/source-files.ts";

const KEY = "a-setup-key-for-tests-that-has-more-than-43-characters";
const DOCUMENT = `
version: 1
domain: access.example.com
identity:
  providers:
    - { id: corp, issuer: "https://login.example.com", client_id: postern, client_auth: none }
sites:
  - { id: office }
apps:
  - { id: wiki, site: office, upstream: "http://10.0.0.5:8080" }
policies:
  - { id: staff, effect: allow, apps: [wiki], when: { service: [ci] } }
  - { id: operate, effect: allow, apps: ["postern:admin"], when: { service: [ops] }, limits: { role: operator } }
`;
const API = "https://access.example.com/.postern/api/v1";
const START_MS = 120_000;

const folder = mkdtempSync(join(tmpdir(), "postern-miniflare-"));
let bundle: EdgeBundle;
let running: Miniflare | undefined;

beforeAll(async () => {
  bundle = await edgeBundle(join(PROJECT, "wrangler.toml"), join(folder, "cache"));
}, START_MS);
afterEach(async () => {
  await running?.dispose();
  running = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The Worker as "one", and as many more beside it as are named, all over the objects of "one". */
async function start(state: string, ...others: string[]): Promise<Miniflare> {
  const { settings } = bundle;
  const script = readFileSync(join(bundle.directory, settings.mainModule), "utf8");
  const worker = (name: string): object => ({
    name,
    modules: [{ type: "ESModule", path: settings.mainModule, contents: script }],
    compatibilityDate: settings.compatibilityDate,
    compatibilityFlags: [...settings.compatibilityFlags],
    bindings: { POSTERN_EDGE_KIND: "local", POSTERN_SETUP_KEY: KEY },
    durableObjects: Object.fromEntries(
      settings.objects.map(({ binding, className }) => [binding, name === "one" ? { className, useSQLite: true } : { className, scriptName: "one", useSQLite: true }]),
    ),
  });
  const options = { workers: ["one", ...others].map(worker) } as Parameters<typeof convertV4MiniflareOptions>[0];
  running = new Miniflare({ ...convertV4MiniflareOptions(options), resourcePersistencePath: join(folder, state) });
  await running.ready;
  return running;
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function ask(miniflare: Miniflare, worker: string, path: string, init: { readonly token?: string; readonly yaml?: string; readonly json?: unknown } = {}): Promise<Answer> {
  const target = await miniflare.getWorker(worker);
  const body = init.yaml !== undefined ? canonical(init.yaml) : (init.json === undefined ? undefined : JSON.stringify(init.json));
  const response = await target.fetch(path.startsWith("https:") ? path : `${API}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: {
      ...(init.token === undefined ? {} : { authorization: `Bearer ${init.token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, body: JSON.parse(await response.text()) as Record<string, unknown> };
}

const tokenOf = (answer: Answer): string => String(answer.body["token"]);

/** A live edge with an operator's token (ops) and one of a program (ci). */
async function setUp(miniflare: Miniflare): Promise<{ ops: string; ci: string }> {
  const setup = await ask(miniflare, "one", "/setup", { token: KEY, yaml: DOCUMENT });
  expect(setup.status).toBe(200);
  const ops = tokenOf(await ask(miniflare, "one", "/services", { token: tokenOf(setup), json: { name: "ops", expires: "1d" } }));
  const ci = tokenOf(await ask(miniflare, "one", "/services", { token: ops, json: { name: "ci", expires: "1d" } }));
  return { ops, ci };
}

/** The app has no connector: 503 says that the edge let the request through to its lane. */
const WIKI = "https://wiki.access.example.com/";

describe("a restart on the same state (F10)", () => {
  it("keeps setup closed, tokens and policy live, and what was revoked revoked", async () => {
    const first = await start("restart");
    const { ops, ci } = await setUp(first);
    expect((await ask(first, "one", WIKI, { token: ci })).status).toBe(503);
    const receipt = await ask(first, "one", "/revoke", { token: ops, json: { kind: "service", id: "ci" } });
    expect(receipt.body).toMatchObject({ complete: true });
    await first.dispose();

    const second = await start("restart");
    expect((await ask(second, "one", "/setup", { token: KEY, yaml: DOCUMENT })).body).toMatchObject({ error: { code: "setup_closed" } });
    expect((await ask(second, "one", "/policy", { token: ops })).body).toMatchObject({ version: 1, text: canonical(DOCUMENT) });
    expect((await ask(second, "one", WIKI, { token: ci })).status).toBe(401);
    expect((await ask(second, "one", `/receipts/${String(receipt.body["id"])}`, { token: ops })).body).toEqual(receipt.body);
  }, START_MS);
});

describe("two instances of the Worker over the same objects (M7)", () => {
  it("a change through one is in force at the other's next request, whatever it remembers", async () => {
    const miniflare = await start("two", "two");
    const { ops, ci } = await setUp(miniflare);
    // Instance two remembers policy and session from here on.
    expect((await ask(miniflare, "two", WIKI, { token: ci })).status).toBe(503);
    const closed = DOCUMENT.replace("service: [ci]", "service: [nobody]");
    expect((await ask(miniflare, "one", "/policy", { token: ops, yaml: closed })).body).toMatchObject({ version: 2 });
    expect((await ask(miniflare, "two", WIKI, { token: ci })).status).toBe(404);
    expect((await ask(miniflare, "one", "/policy", { token: ops, yaml: DOCUMENT })).body).toMatchObject({ version: 3 });
    expect((await ask(miniflare, "two", WIKI, { token: ci })).status).toBe(503);
    await ask(miniflare, "one", "/revoke", { token: ops, json: { kind: "service", id: "ci" } });
    expect((await ask(miniflare, "two", WIKI, { token: ci })).status).toBe(401);
  }, START_MS);

  it("of fifty setups through both at once one succeeds", async () => {
    const miniflare = await start("fifty", "two");
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(miniflare, i % 2 === 0 ? "one" : "two", "/setup", { token: KEY, yaml: DOCUMENT })));
    expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([200, ...Array.from({ length: 49 }, () => 403)]);
  }, START_MS);
});
