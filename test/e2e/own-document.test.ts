/**
 * `npm start -- --config FILE`: a document of one's own with its own provider and app. What it
 * does not name is not started; its domain is made local; its secrets come from --env-file.
 */
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { demoProvider } from "../../start/demo-provider.ts";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { FormBrowser } from "../start/form-browser.ts";
import { processesNaming, temporaryState, until } from "../start/running-stack.ts";
import { visit } from "./demo-visit.ts";

const MAIN = join(import.meta.dirname, "../../start/main.ts");
const state = temporaryState();
const servers: Server[] = [];
let out = "";

async function listening(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  return (server.address() as AddressInfo).port;
}

const document = (issuer: string, app: number): string => `version: 1
domain: access.example.com
identity:
  providers:
    - { id: corp, issuer: "${issuer}", client_id: postern, client_secret: { secret: CORP_SECRET }, scopes: [openid, email, groups], groups_claim: groups, email_domains: [example.com] }
sites: [{ id: berlin }]
apps: [{ id: wiki, site: berlin, upstream: "http://127.0.0.1:${app}" }]
policies:
  - { id: staff, effect: allow, apps: [wiki], when: { group: [staff] } }
  - { id: operators, effect: allow, apps: ["postern:admin"], when: { group: [admins] }, limits: { role: operator } }
`;

beforeAll(async () => {
  const provider = createServer();
  const issuer = `http://127.0.0.1:${await listening(provider)}`;
  const app = await listening(createServer((request, response) => response.end(`the wiki was asked for ${request.url} by ${String(request.headers["x-postern-user"])}`)));
  writeFileSync(join(state.path, "own.yaml"), document(issuer, app));
  writeFileSync(join(state.path, "secrets.env"), 'CORP_SECRET="from the file"\n');
  const child = spawn(process.execPath, [MAIN, "--config", join(state.path, "own.yaml"), "--env-file", join(state.path, "secrets.env"), "--state", join(state.path, "state"), "--port", "0", "--json"], { stdio: ["ignore", "pipe", "inherit"] });
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  await until(() => out.includes("\n") || child.exitCode !== null, "the line of --json", 50_000);
  const { launcher } = JSON.parse(out) as { launcher: string };
  const jwks = { keys: [{ ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "k" }] };
  provider.on("request", demoProvider({ issuer, clientId: "postern", clientSecret: "from the file", launcher, providerId: "corp", jwks, cookieKeys: ["k"] }));
  servers.push({ close: () => child.kill("SIGTERM"), closeAllConnections: () => undefined } as unknown as Server);
});
afterAll(async () => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
  await until(() => processesNaming(state.path).length === 0, "no process is left");
  state.remove();
});

const report = (): Record<string, unknown> & { launcher: string; connectors: { site: string }[]; env: Record<string, string> } => JSON.parse(out) as ReturnType<typeof report>;

describe("npm start --config", () => {
  it("serves the file's apps at a local domain, one connector a site, and no demo part", () => {
    const port = new URL(report().launcher).port;
    expect(report()).toMatchObject({ launcher: `http://postern.localhost:${port}`, apps: [{ id: "wiki", url: `http://wiki.postern.localhost:${port}` }], users: [] });
    expect(report().connectors.map(({ site }) => site)).toEqual(["berlin"]);
    const ours = processesNaming(state.path).map((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8"));
    expect(ours.filter((line) => line.includes("idp.ts") || line.includes("sample-apps.ts"))).toEqual([]);
  });

  it("signs people in at the file's provider and carries them to the file's app", async () => {
    const page = await visit(new FormBrowser(), `http://wiki.${new URL(report().launcher).host}/a?b`, "alice");
    expect(page?.text).toBe("the wiki was asked for /a?b by alice@example.com");
  });

  it("keeps a working operator's token", async () => {
    const token = readFileSync(report().env["POSTERN_TOKEN_FILE"] ?? "", "utf8").trim();
    const answer = await loopbackFetch(`${report().launcher}/.postern/api/v1/policy`, { headers: { authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(200);
  });
});
