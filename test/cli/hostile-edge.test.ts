/** What the command line makes of edges that answer oddly, of certificates and of proxies. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { selfSigned } from "../connector/test-certificate.ts";
import { jsonOf, runCommand } from "./run-command.ts";

const TOKEN_ID = `${"C".repeat(21)}A`;
const TOKEN = `pst_${TOKEN_ID}.${"C".repeat(42)}A`;
const folder = mkdtempSync(join(tmpdir(), "postern-cli-"));
const tokenFile = join(folder, "token");
writeFileSync(tokenFile, TOKEN, { mode: 0o600 });
afterAll(() => rmSync(folder, { recursive: true }));

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});
const listen = async (server: Server): Promise<number> => {
  servers.push(server);
  await new Promise<void>((up) => server.listen(0, "127.0.0.1", up));
  return (server.address() as AddressInfo).port;
};
/** An edge that answers so; its environment for a command. */
const edge = async (answer: RequestListener): Promise<{ readonly env: Record<string, string> }> => {
  const port = await listen(createServer(answer));
  return { env: { POSTERN_EDGE: `http://edge.localhost:${port}`, POSTERN_TOKEN_FILE: tokenFile } };
};
const answering = (status: number, body: string, headers: Record<string, string> = {}): RequestListener => (_request, response) => void response.writeHead(status, headers).end(body);

const RECEIPT = { id: "rcpt_x", kind: "session", target: "s", version: 1, at: "2026-11-18T10:00:00Z", found: 2, closed: 1, frozen: 0, kept: 0, slowest_ms: 30_000, bytes_in_flight_at_cut: 0, unconfirmed: [{ site: "office", lane: 1, lease_ends_at: "2026-11-18T10:00:30Z" }], complete: false };

describe("an edge that says where to sign in", () => {
  const login = async (addressOf: (origin: string) => string) => {
    const made = await edge((request, response) => {
      const origin = made.env["POSTERN_EDGE"] ?? "";
      const begun = { device_code: "d".repeat(43), user_code: "ABCD-EFGH", verification_uri: origin, verification_uri_complete: addressOf(origin), expires_in: 60, interval: 0 };
      response.end(JSON.stringify(request.url?.endsWith("/begin") === true ? begun : { error: "access_denied" }));
    });
    return runCommand(["login", "--token-file", join(folder, "person")], { env: { ...made.env, SSH_CONNECTION: "x" }, ask: () => Promise.resolve("") });
  };

  it.each(["https://evil.example.com/.postern/device", "WIFI:T:WPA;S:free;P:x;;", "tel:+4900000", "not an address", "http://user@edge.localhost:1/", `ORIGIN/${"A".repeat(400)}`])("elsewhere than at itself, or in too many words (%s), has nothing shown or scanned", async (address) => {
    const ran = await login((origin) => address.replace("ORIGIN", origin));
    expect(ran).toMatchObject({ exit: 1, err: expect.stringContaining("an address that is not its own") });
    expect(ran.err).not.toMatch(/Open |[\u2580\u2584\u2588]/);
  });

  it("at itself is shown, and as something to scan", async () => {
    const ran = await login((origin) => `${origin}/.postern/device?user_code=ABCD-EFGH`);
    expect(ran.err).toMatch(/[\u2580\u2584\u2588 ]{30}[^]*Open http:\S+user_code=ABCD-EFGH\n/);
    expect(ran.err).toContain("the sign-in was refused in the browser");
  });
});

describe("odd edges", () => {
  it.each<[string, RequestListener, string]>([
    ["a redirect", answering(302, "", { location: "https://evil.example.com/" }), "not_postern"],
    ["a page of a captive portal", answering(200, "<html>"), "odd_answer"],
    ["another shape", answering(200, '{"sessions":[]}'), "odd_answer"],
    ["an error page of a proxy", answering(502, "<html>"), "not_postern"],
    ["an answer cut short", (_request, response) => void response.writeHead(200, { "content-length": "100" }).write("[", () => response.destroy()), "edge_broken"],
    ["no answer at all", (request) => void request.socket.destroy(), "edge_broken"],
  ])("%s is a failure with its own code, never an empty list", async (_title, answer, code) => {
    const ran = await runCommand(["sessions", "--json"], await edge(answer));
    expect(ran.exit).toBe(1);
    expect(jsonOf(ran)).toMatchObject({ error: { code, fix: [expect.any(String)] } });
  });

  it.each([
    ["a list that is not whole is said on standard error, so that --json stays a list", { "postern-truncated": "sessions=20, unreachable=1" }, /^warning: the list is not whole; missing: sessions=20, unreachable=1\n$/],
    ["a whole list is shown without a warning", {}, /^$/],
  ])("%s", async (_title, headers, err) => {
    const ran = await runCommand(["sessions", "--json"], await edge(answering(200, "[]", headers)));
    expect(ran).toMatchObject({ exit: 0, out: "[]\n" });
    expect(ran.err).toMatch(err);
  });

  it("nothing listening is said with the next command", async () => {
    const ran = await runCommand(["sessions", "--edge", "http://127.0.0.1:9", "--token-file", tokenFile]);
    expect(ran.exit).toBe(1);
    expect(ran.err).toMatch(/cannot be reached\nwhy: .*ECONNREFUSED.*\nfix: .*npm start/);
  });

  const REFUSED = { error: { code: "no_connector", message: "m", fix: [], request_id: "r_own" } };
  it.each([
    ["the edge's refusal", JSON.stringify(REFUSED), true],
    ["an app's page", "<h1>Not Found</h1>", false],
    ["an app's JSON in the same shape, about another request", JSON.stringify({ error: { ...REFUSED.error, request_id: "r_other" } }), false],
    ["an answer too long to be a refusal", JSON.stringify({ ...REFUSED, more: "x".repeat(100_000) }), false],
  ])("curl names explain for what Postern decided, not for what the app answered: %s", async (_title, body, explained) => {
    const { env } = await edge(answering(503, body, { "postern-request-id": "r_own" }));
    for (const more of [[], ["--json"]]) {
      const ran = await runCommand(["curl", `${env["POSTERN_EDGE"]}/x`, ...more], { env });
      expect(ran.exit).toBe(1);
      expect(ran.err).toContain("answered 503\n");
      expect(ran.err.includes("fix: postern explain r_own")).toBe(explained);
    }
  });

  it("keeps its deadline against an edge that never answers", async () => {
    const { env } = await edge(() => undefined);
    const ran = await runCommand(["curl", `${env["POSTERN_EDGE"]}/`, "--max-time", "1"], { env });
    expect(ran.exit).toBe(1);
    expect(ran.err).toContain("did not answer in time");
  });

  it("exits 1 while anything is unconfirmed, and says what and until when", async () => {
    const ran = await runCommand(["revoke", "session", "s"], await edge(answering(200, JSON.stringify(RECEIPT))));
    expect(ran.exit).toBe(1);
    expect(ran.out).toContain("UNCONFIRMED: site office lane 1; what it holds ends with its lease at 2026-11-18T10:00:30Z");
    const asJson = await runCommand(["receipt", "rcpt_x", "--json"], await edge(answering(200, JSON.stringify(RECEIPT))));
    expect(asJson.exit).toBe(1);
    expect(jsonOf(asJson)).toEqual(RECEIPT);
  });

  it("blots out the token when the edge says it back, and moves no cursor", async () => {
    const refusal = { error: { code: "denied", message: `you sent ${TOKEN} \u001b[2J\u202e`, fix: [`use ${TOKEN}\n\u0007`], request_id: "r_x" } };
    for (const more of [[], ["--json"]]) {
      const ran = await runCommand(["sessions", ...more], await edge(answering(403, JSON.stringify(refusal))));
      expect(ran.exit).toBe(1);
      expect(ran.out + ran.err).not.toContain("CCCCCCCC");
      // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
      expect(ran.err).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
    }
  });

  it("shows names of the outside without their control characters", async () => {
    const one = { id: "c_x", site: "office", name: "\u001b[31mroot\nfake row", thumbprint: "t", enrolled_at: "2026", revoked_at: null };
    const { out } = await runCommand(["connectors"], await edge(answering(200, JSON.stringify([one]))));
    expect(out.split("\n")).toHaveLength(3);
    expect(out).toContain("?[31mroot?fake row");
  });

  it("sends the token once, in its header, with the name it was asked for as Host", async () => {
    let seen: unknown;
    const { env } = await edge((request, response) => {
      seen = { url: request.url, host: request.headers.host, authorization: request.headers.authorization };
      response.end("[]");
    });
    expect((await runCommand(["sessions"], { env })).out).toBe("nobody is signed in\n");
    expect(seen).toEqual({ url: "/.postern/api/v1/sessions", host: new URL(env["POSTERN_EDGE"] ?? "").host, authorization: `Bearer ${TOKEN}` });
  });

  it("leaves Authorization to the app when curl was given one, and sends the service token beside it", async () => {
    let seen: unknown;
    const { env } = await edge(({ headers }, response) => {
      seen = [headers.authorization, headers["postern-client-id"], headers["postern-client-secret"]];
      response.end();
    });
    const url = `${env["POSTERN_EDGE"]}/`;
    await runCommand(["curl", url], { env });
    expect(seen).toEqual([`Bearer ${TOKEN}`, undefined, undefined]);
    await runCommand(["curl", url, "-H", "Authorization: Basic eDp5"], { env });
    expect(seen).toEqual(["Basic eDp5", TOKEN_ID, TOKEN]);
    expect((await runCommand(["curl", url, "-H", "authorization: x", "--token-file", "-"], { env, stdin: `pso_${"0".repeat(64)}.${"C".repeat(42)}A` })).exit).toBe(2);
  });

  it("gives curl's token to no host that the edge does not name as an app's", async () => {
    let asked = 0;
    const { env } = await edge((request, response) => {
      asked += request.url === "/" ? 0 : 1;
      response.end(JSON.stringify({ apps: [{ id: "wiki", name: "Wiki", host: "wiki.localhost", tags: [], stepUp: false }] }));
    });
    const { port } = new URL(env["POSTERN_EDGE"] ?? "");
    for (const host of ["notedge.localhost", "localhost", "edge.localhost.evil.localhost"]) {
      const ran = await runCommand(["curl", `http://${host}:${port}/page`], { env });
      expect(ran, host).toMatchObject({ exit: 2, out: "" });
    }
    expect(asked).toBe(0);
    expect((await runCommand(["curl", `http://wiki.localhost:${port}/page`], { env })).exit).toBe(0);
    expect((await runCommand(["curl", `http://wiki.edge.localhost:${port}/page`], { env })).exit).toBe(0);
    expect(asked).toBe(2);
  });
});

describe("certificates and proxies", () => {
  const from = new Date(Date.now() - 3_600_000);
  const to = new Date(Date.now() + 3_600_000);

  it("sends nothing to an edge whose certificate is not believed; --ca makes it believed", async () => {
    const pair = selfSigned("edge.localhost", from, to);
    let asked = 0;
    const port = await listen(createTlsServer(pair, (_request, response) => {
      asked += 1;
      response.end("[]");
    }));
    const env = { POSTERN_EDGE: `https://edge.localhost:${port}`, POSTERN_TOKEN_FILE: tokenFile };
    const refused = await runCommand(["sessions"], { env });
    expect(refused.exit).toBe(1);
    expect(refused.err).toMatch(/certificate .* was not accepted[\s\S]*--ca FILE/);
    expect(asked).toBe(0);
    const ca = join(folder, "ca.pem");
    writeFileSync(ca, pair.cert);
    expect((await runCommand(["sessions", "--ca", ca], { env })).exit).toBe(0);
    expect((await runCommand(["sessions", "--ca", ca, "--edge", `https://other.localhost:${port}`], { env })).err).toContain("was not accepted");
    expect(asked).toBe(1);
    expect((await runCommand(["sessions", "--ca", tokenFile], { env })).err).toContain("holds no PEM certificate");
    expect((await runCommand(["sessions", "--ca", join(folder, "absent")], { env })).err).toContain("cannot be read");
  });

  it("goes through HTTPS_PROXY by CONNECT, and never for loopback", async () => {
    const pair = selfSigned("edge.example.com", from, to);
    const ca = join(folder, "proxied.pem");
    writeFileSync(ca, pair.cert);
    const port = await listen(createTlsServer(pair, (_request, response) => void response.end("[]")));
    const connected: string[] = [];
    const proxy = createServer(answering(500, ""));
    proxy.on("connect", (request, client) => {
      connected.push(request.url ?? "");
      const far = connect(port, "127.0.0.1", () => client.write("HTTP/1.1 200 OK\r\n\r\n"));
      client.on("error", () => far.destroy());
      far.on("error", () => client.destroy());
      far.pipe(client).pipe(far);
    });
    const env = { POSTERN_TOKEN_FILE: tokenFile, HTTPS_PROXY: `http://127.0.0.1:${await listen(proxy)}`, HTTP_PROXY: "http://127.0.0.1:9" };
    expect((await runCommand(["sessions", "--ca", ca, "--edge", "https://edge.example.com"], { env })).exit).toBe(0);
    expect(connected).toEqual(["edge.example.com:443"]);
    const local = await edge(answering(200, "[]"));
    expect((await runCommand(["sessions"], { env: { ...env, ...local.env } })).exit).toBe(0);
    expect(connected).toHaveLength(1);
  });
});
