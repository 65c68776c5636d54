/**
 * Classes A and B over raw sockets: what a path or a host could be read as. Nothing that has two
 * readings reaches an app; what does is the path that was decided on and recorded (L1, L2, L3).
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bytesOf, type Expected, expectRecorded, judge, type Passed, type Request } from "./corpus.ts";
import { type EdgeUnderTest, edgeUnderTest } from "./edge-under-test.ts";
import { valuesOf } from "./raw-client.ts";
import { type RecordingOrigin, recordingOrigin } from "./recording-origin.ts";

let origin: RecordingOrigin;
let edge: EdgeUnderTest;
const passed: Passed[] = [];

const IDS = ["open", "guarded", "public-only", "folded", "relaxed", "pub", "get-only", "hidden"];
const EXTRA: Readonly<Record<string, string>> = { folded: ", path_case: insensitive", relaxed: ", insecure_paths: [encoded_slash, double_slash]" };
const POLICIES = `  - { id: all, effect: allow, apps: [open, guarded, folded, relaxed], when: { service: [probe] } }
  - { id: no-admin, effect: deny, apps: [guarded, folded], when: { anyone: true }, http: { paths: ["/admin/**"] } }
  - { id: only-public, effect: allow, apps: [public-only], when: { service: [probe] }, http: { paths: ["/public/**"] } }
  - { id: everybody, effect: allow, apps: [pub], when: { anyone: true }, http: { methods: [GET], paths: ["/public/**"] } }
  - { id: get-only, effect: allow, apps: [get-only], when: { service: [probe] }, http: { methods: [GET] } }`;

beforeAll(async () => {
  origin = await recordingOrigin();
  const apps = IDS.map((id) => `  - { id: ${id}, site: office, upstream: "http://127.0.0.1:${origin.port}"${EXTRA[id] ?? ""} }`).join("\n");
  edge = await edgeUnderTest({ apps, policies: POLICIES });
});
afterAll(async () => {
  await edge?.stop();
  await origin?.close();
});

const BAD: Expected = { refused: 400, code: "bad_request" };
/** A denial: explained or blank, that is another test's matter. */
const DENIED: Expected = { refused: [403, 404] };
const SIGNED_OUT: Expected = { refused: 401, code: "sign_in_required" };
/** The runtime's own parser answers. */
const RUNTIME_400: Expected = { refused: 400 };

type Row = readonly [title: string, request: Request, expected: Expected];
const get = (path: string, expected: Expected, app = "open"): Row => [`GET ${path} at ${app}`, { line: `GET ${path}`, app }, expected];
const same = (path: string, arrives = path, app = "open"): Row => get(path, { passes: `GET ${arrives}` }, app);

const check = async (request: Request, expected: Expected): Promise<void> => {
  await judge(edge, origin, bytesOf(edge, request), expected, passed);
};

describe("class A: dot segments", () => {
  it.each<Row>([
    get("/info/../private", BAD),
    get("/info/./..//private", BAD),
    get("/public/%2e%2e/admin/x", BAD),
    get("/public/.%2e/admin/x", BAD),
    get("/public/%2E%2e/admin/x", BAD),
    get("/public/%252e%252e/admin/x", BAD),
    get("/public/..;/admin/x", BAD),
    get("/public/..;a=b/admin/x", BAD),
    get("/public/..%3B/admin/x", BAD),
    get("/public/%2e%2e%3b/admin/x", BAD),
    get("/.;/admin", BAD),
    get("/;/admin", BAD),
    get("/public/..", BAD),
    get("/public/.", BAD),
    get("/..", BAD),
    get("/public/..%2Fadmin", BAD, "relaxed"),
    get("/public/..%2f..%2Fadmin", BAD, "relaxed"),
    get("/public/%2e%2e/admin", BAD, "relaxed"),
    same("/a/..b/...", "/a/..b/..."),
    same("/a/.b/c.", "/a/.b/c."),
  ])("%s", (_title, request, expected) => check(request, expected));
});

describe("class A: escapes", () => {
  it.each<Row>([
    get("/admin%2Fx", BAD),
    get("/public/..%2Fadmin", BAD),
    get("/public/%5c..%5cadmin", BAD),
    get("/a%5Cb", BAD),
    get("/a\\b", BAD),
    get("/a\\..\\b", BAD),
    get("/a%00b", BAD),
    get("/a%0d%0aX:%20b", BAD),
    get("/a%7Fb", BAD),
    get("/a%252Fb", BAD),
    get("/a%255cb", BAD),
    get("/a%2500", BAD),
    get("/a%253Bb", BAD),
    get("/a%", BAD),
    get("/a%2", BAD),
    get("/a%zz", BAD),
    get("/a%u002e", BAD),
    get("/a%c0%ae%c0%ae/b", { passes: "GET /a%C0%AE%C0%AE/b" }),
    same("/%61dmin/x", "/admin/x"),
    same("/a%7eb%2d%5f%2e1", "/a~b-_.1"),
    same("/a%c3%a4", "/a%C3%A4"),
    same("/a%20b%3F%23", "/a%20b%3F%23"),
    same("/100%25", "/100%25"),
    same("/a;b=c/d", "/a;b=c/d"),
    same("/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,="),
    get("/a%2Fb", { passes: "GET /a%2Fb" }, "relaxed"),
    get("/a//b", { passes: "GET /a//b" }, "relaxed"),
  ])("%s", (_title, request, expected) => check(request, expected));
});

describe("class A: a protected path in every spelling", () => {
  it.each<Row>([
    get("/admin", DENIED, "guarded"),
    get("/admin/", DENIED, "guarded"),
    get("/admin/x", DENIED, "guarded"),
    get("/%61dmin/x", DENIED, "guarded"),
    get("/%61%64%6d%69%6e", DENIED, "guarded"),
    get("/admin;a=b/x", DENIED, "guarded"),
    get("/admin;/x", DENIED, "guarded"),
    get("/admin%3Bx/y", DENIED, "guarded"),
    get("/admin%3b", DENIED, "guarded"),
    get("/admin%3Fx", DENIED, "guarded"),
    get("/admin%23x", DENIED, "guarded"),
    get("/admin%2523x", { passes: "GET /admin%2523x" }, "guarded"),
    get("//admin/x", BAD, "guarded"),
    get("/./admin/x", BAD, "guarded"),
    get("/x/../admin/x", BAD, "guarded"),
    get("/admin%2Fx", BAD, "guarded"),
    get("/admin%5Cx", BAD, "guarded"),
    get("/admin%00", BAD, "guarded"),
    get("/admin?x=/public", DENIED, "guarded"),
    get("/admin#/../public", DENIED, "guarded"),
    get("/public#/../admin", { passes: "GET /public" }, "guarded"),
    get("/ADMIN/x", { passes: "GET /ADMIN/x" }, "guarded"),
    get("/ADMIN", DENIED, "folded"),
    get("/%41dmin", DENIED, "folded"),
    get("/aDmIn;x/y", DENIED, "folded"),
    get("/admins", { passes: "GET /admins" }, "folded"),
  ])("%s", (_title, request, expected) => check(request, expected));
});

describe("class A: an allowed path is no door to another", () => {
  it.each<Row>([
    same("/public/a.js", "/public/a.js", "public-only"),
    same("/public", "/public", "public-only"),
    get("/publicx", DENIED, "public-only"),
    get("/Public/a", DENIED, "public-only"),
    get("/admin?x=/public/a.js", DENIED, "public-only"),
    get("/admin;/public/a", DENIED, "public-only"),
    get("/public/../admin", BAD, "public-only"),
    get("/public//admin", BAD, "public-only"),
    get("/public/%2e%2e%2fadmin", BAD, "public-only"),
    ["nobody at /admin?x=/public/a.js of a public app", { line: "GET /admin?x=/public/a.js", app: "pub", signedIn: false }, SIGNED_OUT],
    ["nobody at /public/../admin of a public app", { line: "GET /public/../admin", app: "pub", signedIn: false }, BAD],
    ["nobody at /public/a of a public app", { line: "GET /public/a", app: "pub", signedIn: false }, { passes: "GET /public/a" }],
  ])("%s", (_title, request, expected) => check(request, expected));
});

describe("class A: request lines that are no origin-form", () => {
  it.each<Row>([
    ["absolute-form of another host is read as its path here", { line: "GET http://hidden.postern.localhost/a" }, { passes: "GET /a" }],
    ["absolute-form with a user part is read as its path here", { line: "GET https://u@evil:1/x?a#b" }, { passes: "GET /x?a" }],
    ["absolute-form with dot segments", { line: "GET http://evil/a/../b" }, BAD],
    ["absolute-form cannot route to an app", { line: "GET http://open.postern.localhost/a", app: "hidden" }, DENIED],
    ["OPTIONS *", { line: "OPTIONS *" }, BAD],
    ["CONNECT host:port, answered by the runtime", { line: "CONNECT open:80" }, { refused: 500 }],
    ["CONNECT /path, answered by the runtime", { line: "CONNECT /x" }, { refused: 500 }],
    ["no leading slash is read as the root", { line: "GET admin", app: "guarded" }, { passes: "GET /" }],
    ["no leading slash, with segments", { line: "GET admin/x", app: "guarded" }, RUNTIME_400],
    ["a target that extends the host", { line: "GET .evil/" }, RUNTIME_400],
    ["a target that makes the host a user part", { line: "GET @evil/" }, RUNTIME_400],
    ["a query only", { line: "GET ?x" }, RUNTIME_400],
    ["a space in the target", { line: "GET /a b" }, RUNTIME_400],
    ["a tab in the target", { line: "GET /a\tb" }, RUNTIME_400],
    ["two spaces", { line: "GET  /a" }, RUNTIME_400],
    ["raw bytes above ASCII", { line: "GET /caf\xe9" }, RUNTIME_400],
    ["raw UTF-8 in the query", { line: "GET /a?\xe6\x97\xa5" }, RUNTIME_400],
    ["TRACE", { line: "TRACE /x" }, { refused: 405, code: "method_not_allowed" }],
    ["a method that nobody knows, answered by the runtime", { line: "BREW /x" }, { refused: 501 }],
    ["a method in lower case, answered by the runtime", { line: "get /x" }, { refused: 501 }],
    ["a method of WebDAV is judged and passed as itself", { line: "PROPFIND /x" }, { passes: "PROPFIND /x" }],
    ["a backslash in the query leaves escaped", { line: "GET /a?b=\\c" }, { passes: "GET /a?b=%5Cc" }],
    ["a query passes byte for byte", { line: "GET /a?x=/../%2e%2e%2F&y=a;b&&z=%zz{}|" }, { passes: "GET /a?x=/../%2e%2e%2F&y=a;b&&z=%zz{}|" }],
    ["a second question mark belongs to the query", { line: "GET /a?b?c" }, { passes: "GET /a?b?c" }],
    ["an empty query stays", { line: "GET /a?" }, { passes: "GET /a?" }],
  ])("%s", (_title, request, expected) => check(request, expected));
});

describe("class A: methods and what would override them", () => {
  it.each<Row>([
    ["GET where GET is allowed", { line: "GET /x", app: "get-only" }, { passes: "GET /x" }],
    ["HEAD is not GET (P8)", { line: "HEAD /x", app: "get-only" }, DENIED],
    ["POST", { line: "POST /x", app: "get-only", headers: ["Content-Length: 0"] }, DENIED],
    ["POST that says it is GET", { line: "POST /x", app: "get-only", headers: ["Content-Length: 0", "X-HTTP-Method-Override: GET"] }, DENIED],
    ["PROPFIND", { line: "PROPFIND /x", app: "get-only" }, DENIED],
    ["GET with _method in the query stays GET", { line: "GET /x?_method=DELETE", app: "get-only" }, { passes: "GET /x?_method=DELETE" }],
  ])("%s", (_title, request, expected) => check(request, expected));

  it.each(["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override", "x.http.method.override"])("%s never reaches the app", async (name) => {
    const { hits } = await judge(edge, origin, bytesOf(edge, { line: "GET /x", app: "get-only", headers: [`${name}: DELETE`] }), { passes: "GET /x" }, passed);
    expect(JSON.stringify(hits[0]?.headers)).not.toContain("DELETE");
  });
});

describe("class A: nothing but a credential opens an app", () => {
  it.each(["GoogleHC/1.0", "kube-probe/1.29", "ELB-HealthChecker/2.0", "Postern-Connector"])("the user agent %s is nobody", async (agent) => {
    await check({ line: "GET /x/healthz", signedIn: false, headers: [`User-Agent: ${agent}`] }, SIGNED_OUT);
    await check({ line: "GET /", signedIn: false, headers: [`User-Agent: ${agent}`, "Sec-Fetch-Mode: navigate"] }, { refused: 302 });
  });
});

describe("class A: the edge's own routes", () => {
  const launcher = (line: string): Request => ({ line, host: `postern.localhost:${edge.port}`, signedIn: false });
  it.each<readonly [path: string, expected: Expected]>([
    ["/x/%2e%2e/.postern/api/v1/policy", BAD],
    ["/.postern/./api/v1/policy", BAD],
    ["/.postern//api/v1/policy", BAD],
    ["/.postern/api%2Fv1/policy", BAD],
    ["/%2Epostern/api/v1/policy", SIGNED_OUT],
    ["/.postern/api/v1/%70olicy", SIGNED_OUT],
    ["/.postern/api/v1/policy;x", { refused: 404 }],
    ["/.POSTERN/api/v1/policy", { refused: 404 }],
    ["/.postern/api/v1/policy/", { refused: [401, 404] }],
    ["/assets/..%2f", BAD],
  ])("the launcher at %s", (path, expected) => check(launcher(`GET ${path}`), expected));

  it.each(["/.postern/unknown", "/%2epostern/unknown", "/.postern", "/.posternx"])("an app's %s is ours or the app's, never both", async (path) => {
    const ours = path.replace("%2e", ".").startsWith("/.postern/");
    await check({ line: `GET ${path}` }, ours ? { refused: 404 } : { passes: `GET ${path}` });
  });
});

describe("class B: which app a host is", () => {
  const port = (): string => String(edge.port);
  const host = (written: string): string => written.replaceAll("{port}", port());
  it.each<readonly [written: string, expected: Expected]>([
    ["OPEN.Postern.LocalHost:{port}", { passes: "GET /x" }],
    ["open.postern.localhost.:{port}", { passes: "GET /x" }],
    ["open.postern.localhost", { passes: "GET /x" }],
    ["open.postern.localhost:444", { passes: "GET /x" }],
    ["HIDDEN.postern.localhost.", DENIED],
    ["open.postern.localhost..", BAD],
    [".open.postern.localhost", BAD],
    ["u@open.postern.localhost", BAD],
    ["open.postern.localhost@evil", BAD],
    ["open.postern.localhost/admin", BAD],
    ["open.postern.localhost?x", BAD],
    ["open.postern.localhost#x", BAD],
    ["open.postern.localhost\\x", BAD],
    ["open.postern.localhost:80:80", BAD],
    ["open.postern.localhost:99999999", BAD],
    ["open.postern.localhost:8x", BAD],
    ["open.postern.localhost, hidden.postern.localhost", BAD],
    ["open%2epostern.localhost", BAD],
    ["op\xc3\xa9n.postern.localhost", BAD],
    ["[::1]", BAD],
    ["", RUNTIME_400],
    ["evilopen.postern.localhost", DENIED],
    ["x.open.postern.localhost", DENIED],
    ["open.postern.localhost.evil.test", DENIED],
    ["open.xpostern.localhost", DENIED],
    ["xpostern.localhost", DENIED],
    ["open.localhost", DENIED],
    ["127.0.0.1", DENIED],
  ])('Host: "%s"', (written, expected) => check({ line: "GET /x", host: host(written) }, expected));

  it("a 405 names methods that are allowed", async () => {
    const { answer } = await judge(edge, origin, bytesOf(edge, { line: "TRACE /x" }), { refused: 405 }, passed);
    expect(valuesOf(answer, "allow")[0]).toContain("GET");
  });
  it("two Host headers", () => check({ line: "GET /x", headers: ["Host: hidden.postern.localhost"] }, BAD));
  it("no Host header", async () => {
    await judge(edge, origin, `GET /x HTTP/1.1\r\n${edge.bearer}\r\n`, RUNTIME_400, passed);
  });
  it.each(["X-Forwarded-Host: open.postern.localhost", "X-Host: open.postern.localhost", "X-Original-Host: open.postern.localhost", "Forwarded: host=open.postern.localhost", "Postern-App: open"])("%s opens nothing at another host", (header) =>
    check({ line: "GET /x", app: "hidden", headers: [header] }, DENIED));
  it("a user name that names another app routes by host", async () => {
    const basic = Buffer.from(`hidden:${edge.token}`).toString("base64");
    await check({ line: "GET /x", signedIn: false, headers: [`Authorization: Basic ${basic}`] }, { passes: "GET /x" });
    await check({ line: "GET /x", app: "hidden", signedIn: false, headers: [`Authorization: Basic ${Buffer.from(`open:${edge.token}`).toString("base64")}`] }, DENIED);
  });

  it.each(["X-Forwarded-Prefix: //evil", "X-Forwarded-Host: evil", "Forwarded: host=evil;proto=https", "X-Forwarded-Proto: https", "X-Original-URL: //evil"])("%s does not move the way to sign in", async (header) => {
    const { answer } = await judge(edge, origin, bytesOf(edge, { line: "GET /x", signedIn: false, headers: ["Sec-Fetch-Mode: navigate", header] }), { refused: 302 }, passed);
    expect(valuesOf(answer, "location")[0]).toMatch(new RegExp(`^http://postern\\.localhost:${edge.port}/\\.postern/login\\?`));
    expect(valuesOf(answer, "location")[0]).not.toContain("evil");
  });
});

describe("what reached an app", () => {
  it("was framed in one way only", () => expect(origin.complaints).toEqual([]));
  it("is on record with the same method and path, each time (promise 2, class A)", () => expectRecorded(edge, passed));
});
