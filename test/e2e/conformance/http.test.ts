/**
 * One app fetched directly and through Postern: status, reason, headers and body are the same,
 * but for what is listed here. P21 to P25 as an app and a browser see them.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FormBrowser } from "../../start/form-browser.ts";
import { type RawExchange, sendRaw } from "../corpus/raw-client.ts";
import { bytesOf } from "../corpus/corpus.ts";
import { type EdgeUnderTest, edgeUnderTest } from "../corpus/edge-under-test.ts";
import { visit } from "../demo-visit.ts";
import { type Answered, ask, type Asked, headerOf } from "./http-client.ts";
import { LARGE, type ReferenceApp, referenceApp } from "./reference-app.ts";

let app: ReferenceApp;
let edge: EdgeUnderTest;

const OPTIONS: Readonly<Record<string, string>> = {
  plain: "",
  small: ", max_body: 100KiB",
  rewritten: ", host: upstream",
  literal: ", host: { literal: wiki.internal }",
  ruled: ', headers: { request: { set: { X-Who: "${user.email}", X-Groups: "${user.groups}", X-Fixed: "a b" }, remove: [X-Drop] }, response: { set: { X-Frame-Options: SAMEORIGIN, X-Added: "1" }, remove: [X-Powered-By, Server] } }',
  shared: ', cors: { origins: ["https://front.example"], methods: [GET, PUT], headers: [X-Api], credentials: true }',
  closed: ', cors: { origins: ["https://front.example"] }',
};

beforeAll(async () => {
  app = await referenceApp();
  const apps = Object.entries(OPTIONS).map(([id, options]) => `  - { id: ${id}, site: office, upstream: "http://127.0.0.1:${app.port}"${options} }`);
  edge = await edgeUnderTest({
    withPeople: true,
    apps: apps.join("\n"),
    policies: `  - { id: all, effect: allow, apps: [plain, small, rewritten, literal, ruled, shared], when: { service: [probe] } }
  - { id: staff, effect: allow, apps: [plain, ruled, closed], when: { group: [staff], mfa: { max_age: 12h } } }
  - { id: staff-ruled, effect: allow, apps: [ruled], when: { group: [staff] } }`,
  });
});
afterAll(async () => {
  await edge?.stop();
  await app?.close();
});

const direct = (asked: Asked): Promise<Answered> => ask(app.port, `127.0.0.1:${app.port}`, asked);
const through = (asked: Asked, id = "plain"): Promise<Answered> => ask(edge.port, edge.hostOf(id), { ...asked, headers: { authorization: `Bearer ${edge.token}`, ...asked.headers } });

/** Framing of one connection, and what we add. */
const OURS = new Set(["connection", "keep-alive", "transfer-encoding", "postern-request-id", "trailer"]);
const comparable = ({ status, reason, headers, bytes, digest }: Answered): unknown => ({ status, reason, headers: headers.filter(([name]) => !OURS.has(name)), bytes, digest });

describe("an answer is the same through Postern as directly", () => {
  it.each([
    "/text", "/length", "/one-byte", "/empty-length", "/one-byte-chunks", "/large", "/large-chunked", "/large-gzip", "/large-206", "/large-404", "/just-bulk", "/not-quite-bulk", "/204", "/205", "/206", "/multi-range", "/416",
    "/gzip", "/br", "/zstd", "/gzip-br", "/gzip-gzip", "/not-really-gzip", "/unknown-coding", "/gzip-chunked", "/gzip-404",
    "/cookies", "/repeated", "/100-kb", "/reason", "/299", "/418", "/503", "/599", "/401", "/utf-8", "/301", "/302", "/307", "/308", "/slow", "/headers", "/304", "/missing",
  ])("GET %s", async (path) => {
    const asked: Asked = { path, headers: { "accept-encoding": "gzip, br, zstd" } };
    expect(comparable(await through(asked))).toEqual(comparable(await direct(asked)));
  });

  it.each<readonly [string, Asked]>([
    ["HEAD with a length", { method: "HEAD", path: "/head" }],
    ["HEAD of a large body", { method: "HEAD", path: "/large" }],
    ["HEAD of a 404", { method: "HEAD", path: "/missing" }],
    ["HEAD of a compressed body", { method: "HEAD", path: "/gzip" }],
    ["a conditional GET that is fresh", { path: "/304", headers: { "if-none-match": '"v1"' } }],
    ["OPTIONS without CORS is the app's (P21)", { method: "OPTIONS", path: "/text", headers: { origin: "https://front.example", "access-control-request-method": "PUT" } }],
    ["without Accept-Encoding", { path: "/gzip" }],
    ["an early answer to an upload", { method: "POST", path: "/418", body: "x".repeat(200_000) }],
  ])("%s", async (_title, asked) => expect(comparable(await through(asked))).toEqual(comparable(await direct(asked))));

  it("an empty chunked body stays an empty body", async () => {
    expect(await through({ path: "/empty-chunks" })).toMatchObject({ status: 200, bytes: 0 });
  });

  it("a Latin-1 header value leaves as the same characters in UTF-8", async () => {
    expect(headerOf(await direct({ path: "/latin-1" }), "x-name")).toBe("caf\xe9");
    expect(headerOf(await through({ path: "/latin-1" }), "x-name")).toBe("caf\xc3\xa9");
  });

  it("trailers and 103 are dropped, what they came with is whole", async () => {
    expect((await direct({ path: "/trailers" })).trailers).toEqual(["X-Sum", "1"]);
    expect(await through({ path: "/trailers" })).toMatchObject({ trailers: [], text: "with trailers" });
    expect((await direct({ path: "/103" })).interim).toEqual([103]);
    expect(await through({ path: "/103" })).toMatchObject({ interim: [], text: "after hints" });
  });

  it("two hundred at once are each their own", async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => through({ path: `/echo?n=${i}` })));
    expect(answers.map((one) => (JSON.parse(one.text) as { url: string }).url)).toEqual(Array.from({ length: 200 }, (_, i) => `/echo?n=${i}`));
  });
});

describe("a request is the same through Postern as directly", () => {
  const seen = ({ text }: Answered): unknown => {
    const { method, url, length, coding, type, bytes, digest } = JSON.parse(text) as Record<string, unknown>;
    return { method, url, length, coding, type, bytes, digest };
  };
  const large = LARGE.subarray(0, 2_000_000);
  it.each<readonly [string, Asked]>([
    ["POST of length 0", { method: "POST", path: "/echo", body: "" }],
    ["POST of one byte", { method: "POST", path: "/echo", body: "x" }],
    ["POST with a length", { method: "POST", path: "/echo", body: "abc", headers: { "content-type": "text/plain" } }],
    ["POST in chunks", { method: "POST", path: "/echo", body: "abc", chunked: true }],
    ["POST of 2 MB", { method: "POST", path: "/echo", body: large }],
    ["POST of 2 MB in chunks", { method: "POST", path: "/echo", body: large, chunked: true }],
    ["PUT", { method: "PUT", path: "/echo", body: "put" }],
    ["PATCH", { method: "PATCH", path: "/echo?x=1&x=2", body: "patch" }],
    ["DELETE with a body", { method: "DELETE", path: "/echo", body: "delete" }],
    ["DELETE without one", { method: "DELETE", path: "/echo" }],
    ["GET with a body", { method: "GET", path: "/echo", body: "odd" }],
    ["GET without one", { path: "/echo" }],
    ["a compressed body is not opened", { method: "POST", path: "/echo", body: Buffer.from("1f8b0800", "hex"), headers: { "content-encoding": "gzip" } }],
  ])("%s", async (_title, asked) => expect(seen(await through(asked))).toEqual(seen(await direct(asked))));

  it("a body in chunks that is empty keeps its framing or says 0", async () => {
    const { bytes, method } = JSON.parse((await through({ method: "POST", path: "/echo", body: "", chunked: true })).text) as Record<string, unknown>;
    expect({ bytes, method }).toEqual({ bytes: 0, method: "POST" });
  });

  it("headers of the client arrive, but for what belongs to a connection", async () => {
    const { headers } = JSON.parse((await through({ path: "/echo", headers: { range: "bytes=0-1", "if-range": '"v1"', accept: "a/b;q=0.1", "accept-encoding": "zstd;q=0.5", "x-own": "1", te: "trailers", origin: "https://front.example", referer: "https://x/", "user-agent": "ua/1" } })).text) as { headers: Record<string, string> };
    expect(headers).toMatchObject({ range: "bytes=0-1", "if-range": '"v1"', accept: "a/b;q=0.1", "accept-encoding": "zstd;q=0.5", "x-own": "1", origin: "https://front.example", referer: "https://x/", "user-agent": "ua/1" });
    expect(headers).not.toHaveProperty("te");
    expect(headers).not.toHaveProperty("authorization");
  });

  it("curl waits for 100 Continue and gets it", async () => {
    const { stdout } = await promisify(execFile)("curl", ["-sS", "--max-time", "10", "--resolve", `${edge.hostOf("plain")}:127.0.0.1`, "-H", `Authorization: Bearer ${edge.token}`, "-H", "Expect: 100-continue", "--data-binary", "x".repeat(70_000), `http://${edge.hostOf("plain")}/echo`]);
    expect(JSON.parse(stdout)).toMatchObject({ bytes: 70_000, length: "70000" });
  });
});

describe("max_body (P25)", () => {
  const LIMIT = 100 * 1024;
  it.each([false, true])("a body at the limit passes, chunked: %s", async (chunked) => {
    expect(await through({ method: "POST", path: "/echo", body: "x".repeat(LIMIT), chunked }, "small")).toMatchObject({ status: 200 });
  });
  it.each([[false, LIMIT + 1], [true, LIMIT + 1], [true, 1_000_000]])("one above it is 413 body_too_large, chunked: %s, %i bytes", async (chunked, bytes) => {
    const answer = await through({ method: "POST", path: "/echo", body: "x".repeat(bytes), chunked }, "small");
    expect(answer.status).toBe(413);
    expect(answer.text).toContain('"code":"body_too_large"');
  });
});

describe("host and headers (P23)", () => {
  const echoed = async (id: string, headers: Record<string, string> = {}): Promise<Record<string, string>> => (JSON.parse((await through({ path: "/echo", headers }, id)).text) as { headers: Record<string, string> }).headers;

  it("host: forwarded, upstream, literal", async () => {
    expect((await echoed("plain"))["host"]).toBe(edge.hostOf("plain"));
    expect((await echoed("rewritten"))["host"]).toBe(`127.0.0.1:${app.port}`);
    expect((await echoed("literal"))["host"]).toBe("wiki.internal");
    for (const id of ["plain", "rewritten"]) expect((await echoed(id))["x-forwarded-host"]).toBe(edge.hostOf(id));
  });

  it("Location that names the upstream leads back to the app's public address", async () => {
    expect(headerOf(await through({ path: "/own-location" }, "rewritten"), "location")).toBe(`http://${edge.hostOf("rewritten")}/next`);
    expect(headerOf(await through({ path: "/own-location" }), "location")).toBe(`http://${edge.hostOf("plain")}/next`);
    expect(headerOf(await through({ path: "/302" }, "rewritten"), "location")).toBe("http://127.0.0.1:1/elsewhere?a=%2F#b");
  });

  it("sets and removes headers both ways", async () => {
    const got = await echoed("ruled", { "x-fixed": "forged", "x-drop": "1", "x-who": "forged" });
    expect(got["x-fixed"]).toBe("a b");
    expect(got).not.toHaveProperty("x-drop");
    expect(got, "a service has no email").not.toHaveProperty("x-who");
    const answer = await through({ path: "/headers" }, "ruled");
    expect(["x-powered-by", "server", "x-frame-options", "x-added"].map((name) => headerOf(answer, name))).toEqual([undefined, undefined, "SAMEORIGIN", "1"]);
  });

  it("tells the app the email and groups of a person, and never our cookies", async () => {
    const alice = new FormBrowser();
    const page = await visit(alice, `http://${edge.hostOf("ruled")}/echo`, "alice");
    const { headers } = JSON.parse(page?.text ?? "{}") as { headers: Record<string, string> };
    expect(headers).toMatchObject({ "x-who": "alice@example.com", "x-groups": "demo:staff", "x-postern-user": "alice@example.com" });
    expect(JSON.stringify(headers)).not.toContain("__Host-");
    const cookie = alice.cookieHeader(`http://${edge.hostOf("ruled")}/`);
    expect(cookie).toContain("__Host-postern=");
    const forged = { cookie: `theme=dark; ${cookie}; lang=en`, "x-postern-user": "forged", x_postern_user: "forged", "x-who": "forged", x_who: "forged", "x-postern-assertion": "forged" };
    const again = JSON.parse((await ask(edge.port, edge.hostOf("ruled"), { path: "/echo", headers: forged })).text) as { headers: Record<string, string> };
    expect(again.headers).toMatchObject({ cookie: "theme=dark; lang=en", "x-who": "alice@example.com", "x-postern-user": "alice@example.com" });
    expect(JSON.stringify(again.headers)).not.toContain("forged");
  });
});

describe("CORS (P21)", () => {
  const preflight = (origin: string, id = "shared"): Promise<Answered> =>
    ask(edge.port, edge.hostOf(id), { method: "OPTIONS", path: "/text", headers: { origin, "access-control-request-method": "PUT", "access-control-request-headers": "x-api" } });

  it("answers the preflight itself for a named origin", async () => {
    const answer = await preflight("https://front.example");
    expect(answer.status).toBe(204);
    expect(headerOf(answer, "access-control-allow-origin")).toBe("https://front.example");
    expect(headerOf(answer, "access-control-allow-methods")).toBe("GET, PUT");
    expect(headerOf(answer, "access-control-allow-headers")).toBe("x-api");
    expect(headerOf(answer, "access-control-allow-credentials")).toBe("true");
    expect(headerOf(answer, "vary")).toBe("Origin");
  });

  it.each(["https://evil.example", "https://front.example.evil", "http://front.example", "null", "https://front.example:8443"])("gives %s nothing", async (origin) => {
    const answer = await preflight(origin);
    expect(headerOf(answer, "access-control-allow-origin")).toBeUndefined();
    expect(headerOf(answer, "access-control-allow-credentials")).toBeUndefined();
  });

  it("without cors a preflight is a request like any other: 401 for nobody", async () => {
    expect((await preflight("https://front.example", "plain")).status).toBe(401);
  });

  it("makes 401 readable to a named origin only", async () => {
    const signedOut = (origin: string): Promise<Answered> => ask(edge.port, edge.hostOf("shared"), { path: "/text", headers: { origin } });
    expect(headerOf(await signedOut("https://front.example"), "access-control-allow-origin")).toBe("https://front.example");
    expect(headerOf(await signedOut("https://evil.example"), "access-control-allow-origin")).toBeUndefined();
    expect((await signedOut("https://front.example")).status).toBe(401);
  });
});

describe("an upload that the app does not read", () => {
  const upload = (path: string): Promise<RawExchange> => sendRaw(edge.port, bytesOf(edge, { line: `POST ${path}`, app: "plain", headers: ["Content-Length: 1000000"], body: "x".repeat(1_000_000) }));
  /** Enough of them at once to meet the reset before, between and after the upload's pieces. */
  const uploads = (path: string): Promise<RawExchange[]> => Promise.all(Array.from({ length: 20 }, () => upload(path)));

  it("still gets the app's answer", async () => {
    expect((await upload("/refuses-uploads")).answers).toMatchObject([{ status: 413, body: "too much for the app", complete: true }]);
  });

  it("gets the app's answer also when the app resets the connection after it", async () => {
    for (const { answers } of await uploads("/resets-uploads")) expect(answers).toMatchObject([{ status: 413, body: "too much for the app", complete: true }]);
  });

  it("gets a connection that ends, never half an answer for a whole one", async () => {
    for (const { answers, closed } of await uploads("/resets-halfway")) {
      expect(closed).toBe(true);
      expect(answers[0] ?? { status: 413, complete: false }).toMatchObject({ status: 413, complete: false });
    }
  });

  it("gets a clear 502 when the app resets without an answer", async () => {
    for (const { answers } of await uploads("/resets-at-once")) expect(answers).toMatchObject([{ status: 502, body: expect.stringContaining('"upstream_reset"') }]);
  });
});
