/**
 * Classes C and D over raw sockets: headers that claim an identity, a way or a source address,
 * in every spelling that an app's server may fold together; our own names from the browser and
 * from a hostile app; our cookies and tokens, which no app ever sees.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { canonical } from "../../canonical.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { bytesOf, expectRecorded, judge, type Outcome, type Passed, type Request } from "./corpus.ts";
import { type EdgeUnderTest, edgeUnderTest } from "./edge-under-test.ts";
import { sendRaw, valuesOf } from "./raw-client.ts";
import { type Hit, type RecordingOrigin, recordingOrigin, valuesAt } from "./recording-origin.ts";

let origin: RecordingOrigin;
let edge: EdgeUnderTest;
const passed: Passed[] = [];
/** What the app answers to the next requests, by target. */
const replies = new Map<string, string>();

const POLICIES = `  - { id: all, effect: allow, apps: [open, named, fenced], when: { service: [probe] } }
  - { id: not-from-here, effect: deny, apps: [fenced], when: { ip_range: ["1.2.3.4/32", "2001:db8::1/128"] } }
  - { id: from-here, effect: allow, apps: [inside], when: { service: [probe], ip_range: ["10.0.0.0/8"] } }
  - { id: everybody, effect: allow, apps: [pub], when: { anyone: true }, http: { paths: ["/public/**"] } }`;

beforeAll(async () => {
  origin = await recordingOrigin((hit) => replies.get(hit.target));
  const upstream = `upstream: "http://127.0.0.1:${origin.port}"`;
  const apps = ["open", "fenced", "inside", "pub", "hidden"].map((id) => `  - { id: ${id}, site: office, ${upstream} }`);
  apps.push(`  - { id: named, site: office, ${upstream}, headers: { request: { set: { X-Team: "blue \${user.sub}", X-Mail: "\${user.email}" }, remove: [X-Debug] } } }`);
  edge = await edgeUnderTest({ apps: apps.join("\n"), policies: POLICIES });
});
afterAll(async () => {
  await edge?.stop();
  await origin?.close();
});

const FORGED = "forged-by-the-client";

/** The ways to write a name that CGI, WSGI and their heirs turn into one variable. */
const spellings = (name: string): string[] => [
  name,
  name.toLowerCase(),
  name.toUpperCase(),
  name.replaceAll("-", "_"),
  name.replaceAll("-", "."),
  name.replace("-", "_"),
  name.replaceAll("-", "~").toUpperCase(),
];

const IDENTITY = ["X-Postern-User", "X-Postern-Assertion", "X-Postern-Anything", "Postern-Client", "X-Auth-Email", "X-Auth-User", "X-Auth-Request-Email", "X-Auth-Request-User", "X-Remote-User", "Remote-User", "X-User", "X-Email", "X-WebAuth-User", "Proxy-Authorization"];
const WAY = ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Client-Cert", "Forwarded", "Via", "X-Real-IP", "True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "CF-Connecting-IP", "CF-Connecting-IPv6", "CF-Access-Jwt-Assertion", "Cdn-Loop", "X-Original-URL", "X-Original-URI", "X-Rewrite-URL", "Te", "Trailer", "Keep-Alive", "Proxy-Connection"];
/** Every header name that travels between worker and objects. */
const INTERNAL = readdirSync(join(import.meta.dirname, "../../../durable-objects"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith("rpc.ts"))
  .flatMap((file) => [...readFileSync(join(import.meta.dirname, "../../../durable-objects", file), "utf8").matchAll(/_HEADER = "([a-z-]+)"/g)].map((match) => match[1] ?? ""));

const ask = (request: Request, expected = `${request.line}`): Promise<Outcome> => judge(edge, origin, bytesOf(edge, request), { passes: expected }, passed);

/** Nothing of the forgery arrives, and what we say for ourselves is said once. */
function expectOurs(hit: Hit | undefined, user: string | undefined): void {
  expect(JSON.stringify(hit)).not.toContain(FORGED);
  expect(valuesAt(hit, "x-postern-user")).toEqual(user === undefined ? [] : [user]);
  expect(valuesAt(hit, "x-postern-assertion")).toHaveLength(user === undefined ? 0 : 1);
  expect(valuesAt(hit, "x-forwarded-for")).toEqual([]);
  expect(valuesAt(hit, "x-forwarded-proto")).toEqual(["http"]);
  expect(valuesAt(hit, "x-forwarded-host")).toHaveLength(1);
}

describe("class C: names that only the edge may use", () => {
  describe.each([...IDENTITY, ...WAY, ...INTERNAL])("%s in every spelling, twice each", (name) => {
    const headers = spellings(name).flatMap((one) => [`${one}: ${FORGED}`, `${one}: ${FORGED}, 10.0.0.1`]);
    it("with a service token", async () => expectOurs((await ask({ line: "GET /x", headers })).hits[0], "service:probe"));
    it("on a public path, without anybody", async () => expectOurs((await ask({ line: "GET /public/x", app: "pub", signedIn: false, headers })).hits[0], undefined));
  });

  it("on a WebSocket", async () => {
    const before = origin.hits.length;
    const names = [...IDENTITY, ...WAY.filter((name) => name !== "Te" && name !== "Trailer"), ...INTERNAL].flatMap(spellings);
    const headers = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", ...names.map((name) => `${name}: ${FORGED}`)];
    const { answers } = await sendRaw(edge.port, bytesOf(edge, { line: "GET /socket", headers }));
    expect(answers[0]?.status).toBe(101);
    expectOurs(origin.hits[before], "service:probe");
  });

  it("named by an app's own rules, in every spelling (P23)", async () => {
    const headers = [...spellings("X-Team"), ...spellings("X-Mail"), ...spellings("X-Debug")].map((name) => `${name}: ${FORGED}`);
    const { hits } = await ask({ line: "GET /x", app: "named", headers });
    expectOurs(hits[0], "service:probe");
    expect(valuesAt(hits[0], "x-team")).toEqual(["blue service:probe"]);
    expect(valuesAt(hits[0], "x-mail"), "a service has no email: the header is not sent").toEqual([]);
  });

  it("an ordinary header of an unlucky name passes", async () => {
    const headers = ["Constructor: a", "__proto__: b", "toString: c", "X-Users: d"];
    const { hits } = await ask({ line: "GET /x", headers });
    for (const header of headers) expect(valuesAt(hits[0], header.split(": ")[0] ?? "")).toEqual([header.split(": ")[1]]);
  });
});

describe("class C: Connection names our headers", () => {
  it.each([
    ["Connection: close, X-Postern-Assertion, X-Postern-User, X-Forwarded-Host, X-Forwarded-Proto, Host"],
    ["connection: x-postern-assertion,x-postern-user,host"],
    ["Connection: keep-alive", "Connection: X-Postern-Assertion", "Connection: X-Postern-User"],
  ])("%s", async (...headers) => {
    const { hits } = await ask({ line: "GET /x", headers });
    expectOurs(hits[0], "service:probe");
    expect(valuesAt(hits[0], "connection").join()).not.toMatch(/postern/i);
  });

  it("what it names of the client's own is dropped with it", async () => {
    const { hits } = await ask({ line: "GET /x", headers: ["Connection: X-Mine", "X-Mine: 1", "X-Other: 2"] });
    expect(valuesAt(hits[0], "x-mine")).toEqual([]);
    expect(valuesAt(hits[0], "x-other")).toEqual(["2"]);
  });
});

describe("class C: the edge's internal headers", () => {
  it("are found in the code", () => expect(INTERNAL).toEqual(expect.arrayContaining(["postern-open", "postern-connect", "postern-refusal"])));

  const context = JSON.stringify({ v: 1, request: "r_AAAAAAAAAAAAAAAAAAAAAA", site: "office", lane: 0, ask: { app: "hidden", protocol: "http", method: "GET", path: "/x" }, stamp: { epoch: 0, policyVersion: 1 }, connection: {}, issuer: "http://evil", method: "GET", target: "/x", headers: [], publicOrigin: "http://evil", body: "none" });
  it.each(INTERNAL)("%s from a client has no effect", async (name) => {
    await judge(edge, origin, bytesOf(edge, { line: "GET /x", app: "hidden", headers: [`${name}: ${context}`] }), { refused: [403, 404] }, passed);
    expectOurs((await ask({ line: "GET /x", headers: [`${name}: ${context}`] })).hits[0], "service:probe");
  });

  it.each(INTERNAL)("%s from an app is dropped and means nothing", async (name) => {
    const said = JSON.stringify({ code: "revoked", policyVersion: 1 });
    replies.set("/hostile", `HTTP/1.1 200 OK\r\n${spellings(name).slice(0, 3).map((one) => `${one}: ${said}\r\n`).join("")}X-Own: 1\r\nPostern-Request-Id: r_forged\r\nContent-Length: 2\r\n\r\nok`);
    const { answer } = await ask({ line: "GET /hostile" });
    expect(answer).toMatchObject({ status: 200, body: "ok" });
    expect(valuesOf(answer, name).join()).not.toContain("revoked");
    expect(valuesOf(answer, "x-own")).toEqual(["1"]);
    expect(valuesOf(answer, "postern-request-id")).toEqual([expect.stringMatching(/^r_[A-Za-z0-9_-]{22}$/)]);
  });
});

describe("class C: our credentials stay ours", () => {
  const SECRET = "c2VjcmV0";
  it.each([
    ["one line", [`Cookie: a=1; __Host-postern=${SECRET}; b=2; __Host-postern-nonce=${SECRET}; postern=${SECRET}; __HOST-Postern-x=${SECRET}`], ["a=1; b=2"]],
    ["blanks around the name", [`Cookie: a=1;   __Host-postern = ${SECRET};b=2`], ["a=1; b=2"]],
    ["two lines", ["Cookie: a=1", `Cookie: __Host-postern=${SECRET}; b=2`], ["b=2"]],
    ["ours first, then another line", [`Cookie: __Host-postern=${SECRET}`, "Cookie: a=1"], []],
    ["nothing but ours", [`Cookie: __Host-postern=${SECRET}`], []],
    ["a bare name", [`Cookie: __Host-postern; a=1`], ["a=1"]],
  ] as const)("cookies in %s", async (_title, headers, arrive) => {
    const { hits } = await ask({ line: "GET /x", headers });
    expect(JSON.stringify(hits)).not.toContain(SECRET);
    expect(valuesAt(hits[0], "cookie")).toEqual(arrive);
  });

  it.each([
    ["a bearer token", (token: string) => [`Authorization: Bearer ${token}`]],
    ["a Basic password", (token: string) => [`Authorization: Basic ${Buffer.from(`x:${token}`).toString("base64")}`]],
  ] as const)("%s is removed", async (_title, headers) => {
    const { hits } = await ask({ line: "GET /x", signedIn: false, headers: headers(edge.token) });
    expect(JSON.stringify(hits)).not.toContain(edge.token.slice(4));
    expect(valuesAt(hits[0], "authorization")).toEqual([]);
  });

  it("a client id and secret are removed, and the app's own Authorization passes untouched", async () => {
    const id = edge.token.slice(4).split(/[._]/)[0] ?? "";
    const headers = [`Postern-Client-Id: ${id.length > 0 ? "probe" : id}`, `Postern-Client-Secret: ${edge.token}`, "Authorization: Digest abc, x=\"y\""];
    const { hits } = await ask({ line: "GET /x", signedIn: false, headers });
    expect(JSON.stringify(hits)).not.toContain(edge.token.slice(4));
    expect(valuesAt(hits[0], "authorization")).toEqual(['Digest abc, x="y"']);
  });

  it("a token of ours anywhere else is refused, not forwarded", async () => {
    for (const header of [`Authorization: Token ${edge.token}`, `Authorization: Bearer x ${edge.token}`]) {
      await judge(edge, origin, bytesOf(edge, { line: "GET /x", signedIn: false, headers: [header] }), { refused: 401, code: "token_invalid" }, passed);
    }
    await judge(edge, origin, bytesOf(edge, { line: "GET /x", headers: ["Authorization: Bearer other"] }), { refused: 401 }, passed);
  });
});

describe("a hostile app", () => {
  const reply = async (head: string): Promise<Outcome> => {
    replies.set("/hostile", `HTTP/1.1 200 OK\r\n${head}Content-Length: 2\r\n\r\nok`);
    return ask({ line: "GET /hostile" });
  };

  it.each([
    ["a cookie for the parent domain loses its Domain (M19)", "a=1; Domain=postern.localhost; Path=/; HttpOnly", ["a=1; Path=/; HttpOnly"]],
    ["a cookie of our name", "__Host-postern=x; Path=/; Secure", []],
    ["of our nonce's, in capitals", "__HOST-POSTERN-nonce=x; Path=/; Secure", []],
    ["without a prefix", "postern=x", []],
    ["without a name, which a browser sends back as a bare value", "=__Host-postern=x; Path=/; Secure", []],
    ["with blanks before our name", " \t __Host-postern=x; Path=/", []],
    ["an ordinary one", "sid=abc; Path=/; SameSite=Lax; Max-Age=10", ["sid=abc; Path=/; SameSite=Lax; Max-Age=10"]],
  ] as const)("Set-Cookie: %s", async (_title, cookie, arrive) => {
    const { answer } = await reply(`Set-Cookie: ${cookie}\r\n`);
    expect(valuesOf(answer, "set-cookie")).toEqual(arrive);
  });

  it("cannot widen a service worker's scope nor name headers away", async () => {
    const { answer } = await reply("Service-Worker-Allowed: /\r\nConnection: X-Gone, Content-Length\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 2\r\n");
    expect(valuesOf(answer, "service-worker-allowed")).toEqual([]);
    expect(valuesOf(answer, "x-gone")).toEqual([]);
    expect(valuesOf(answer, "keep-alive")).toEqual([]);
    expect(valuesOf(answer, "x-kept")).toEqual(["2"]);
    expect(answer?.body).toBe("ok");
  });

  it.each([
    ["two different lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!"],
    ["a length beside chunks", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    ["a folded header", "HTTP/1.1 200 OK\r\nX-A: b\r\n Set-Cookie: c\r\nContent-Length: 0\r\n\r\n"],
    ["a space before the colon", "HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n"],
    ["a NUL in a value", "HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 0\r\n\r\n"],
    ["a bare CR in a value", "HTTP/1.1 200 OK\r\nX-A: b\rX-B: c\r\nContent-Length: 0\r\n\r\n"],
    ["no status line at all", "hello\r\n\r\n"],
    ["a status out of range", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"],
    ["an upgrade that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"],
    ["a head of 200 KB", `HTTP/1.1 200 OK\r\nX-A: ${"a".repeat(200_000)}\r\nContent-Length: 0\r\n\r\n`],
    ["a thousand headers", `HTTP/1.1 200 OK\r\n${Array.from({ length: 1_000 }, (_, i) => `X-${i}: 1\r\n`).join("")}Content-Length: 0\r\n\r\n`],
  ] as const)("%s is 502 upstream_protocol", async (_title, answerBytes) => {
    replies.set("/broken", answerBytes);
    const { answers } = await sendRaw(edge.port, bytesOf(edge, { line: "GET /broken" }));
    expect(answers[0]?.status).toBe(502);
    expect(answers[0]?.body).toContain('"code":"upstream_protocol"');
  });
});

describe("class D: the source address", () => {
  const from = (clientIp: unknown): string => `${edge.factsHeader}: ${JSON.stringify({ clientIp })}`;

  it.each([
    "1.2.3.4", "1.2.3.4:5678", "::ffff:1.2.3.4", "[::ffff:1.2.3.4]:80", "[::ffff:1.2.3.4]", "::ffff:102:304", "::FFFF:0102:0304", "0:0:0:0:0:ffff:1.2.3.4",
    "2001:db8::1", "2001:DB8:0:0::1", "2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8:0:0:0:0:0.0.0.1", "[2001:db8::1]:443",
  ])("the denied address written %s is denied", async (ip) => {
    await judge(edge, origin, bytesOf(edge, { line: "GET /x", app: "fenced", headers: [from(ip)] }), { refused: [403, 404] }, passed);
  });

  it.each([undefined, null, "", 5, {}, "a", "256.1.1.1", "5.6.7.300", "05.6.7.8", "5.6.7", "0x05060708", "84281096", "5.6.7.8 ", "5.6.7.8, 9.9.9.9", "5.6.7.8:port", "2001:db8::2%eth0", "2001:db8:::2", "::ffff:5.6.7.300", "[2001:db8::2"])("an address that cannot be read (%j) is denied where a deny asks for it (P2)", async (ip) => {
    await judge(edge, origin, bytesOf(edge, { line: "GET /x", app: "fenced", headers: [from(ip)] }), { refused: [403, 404] }, passed);
  });

  it.each(["5.6.7.8", "1.2.3.5:80", "2001:db8::2", "[2001:db8::2]:443"])("another address, %s, passes", async (ip) => {
    await ask({ line: "GET /x", app: "fenced", headers: [from(ip)] });
  });

  const claims = (ip: string): string[] => ["X-Forwarded-For", "x-forwarded-for", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "Fastly-Client-IP"].map((name) => `${name}: ${ip}`).concat(`Forwarded: for="${ip}"`);
  it.each(["10.0.0.1", "a", "10.0.0.1:80", "10.0.0.1, 5.6.7.8", Array.from({ length: 1_000 }, () => "10.0.0.1").join(", ")].map((ip) => [ip.slice(0, 30), ip] as const))("claiming %s changes no decision", async (_title, ip) => {
    await judge(edge, origin, bytesOf(edge, { line: "GET /x", app: "inside", headers: [from("5.6.7.8"), ...claims(ip)] }), { refused: [403, 404] }, passed);
    await judge(edge, origin, bytesOf(edge, { line: "GET /x", app: "inside", headers: claims(ip) }), { refused: [403, 404] }, passed);
    await judge(edge, origin, bytesOf(edge, { line: "GET /x", app: "fenced", headers: [from("1.2.3.4"), ...claims(ip)] }), { refused: [403, 404] }, passed);
    const { hits } = await ask({ line: "GET /x", app: "inside", headers: [from("10.9.9.9"), ...claims("5.6.7.8")] });
    expect(valuesAt(hits[0], "x-forwarded-for")).toEqual(["10.9.9.9"]);
  });

  it("the test's own header never reaches an app", async () => {
    const { hits } = await ask({ line: "GET /x", headers: [from("10.9.9.9")] });
    expect(valuesAt(hits[0], edge.factsHeader)).toEqual([]);
  });

  it.each(["1.2.3.256/32", "1.2.3.4/33", "01.2.3.4", "2001:db8:::1/128", "1.2.3.4/8", "10.0.0.0/-1"])("a policy that says %s is refused when it is pushed", async (cidr) => {
    const operator = readFileSync(edge.stack.tokenFile, "utf8").trim();
    const text = readFileSync(edge.stack.documentFile, "utf8").replace("1.2.3.4/32", cidr);
    const answer = await loopbackFetch(`${edge.stack.launcher}/.postern/api/v1/policy`, { method: "POST", headers: { authorization: `Bearer ${operator}`, "content-type": "application/json" }, body: canonical(text) });
    expect(answer.status).toBe(422);
  });
});

describe("what reached an app", () => {
  it("was framed in one way only", () => expect(origin.complaints).toEqual([]));
  it("is on record with the same method and path (promise 2)", () => expectRecorded(edge, passed.slice(-20)));
});
