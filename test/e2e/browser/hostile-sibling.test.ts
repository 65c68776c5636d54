/**
 * A hostile app beside the others, in a browser that is signed in to all of them (class I, M19):
 * it is same-site, and still reaches neither their sessions nor ours.
 */
import { writeFileSync } from "node:fs";
import { createServer, request as httpRequest, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { DEMO_PROVIDER } from "../../start/own-document.ts";
import { temporaryState } from "../../start/running-stack.ts";
import { cookieHeader, expectSound, fillIn, navigate, openStage, type Stage, visitAs } from "./stage.ts";

const state = temporaryState();
let origin: Server;
let stage: Stage;
let profile: BrowserContext;
let page: Page;
/** The Cookie header of each request that reached the hostile app. */
const received: string[] = [];

const COOKIES = [
  "__Host-postern=planted; Path=/; Secure",
  "__host-postern=planted; Path=/; Secure",
  "__Host-postern-nonce=planted; Path=/; Secure",
  "postern=planted; Domain=postern.localhost; Path=/",
  "wide=narrowed; Domain=postern.localhost; Path=/",
  "own=kept; Path=/",
];

const document = (port: number): string => `version: 1
domain: postern.localhost
identity:
  providers:
    - ${DEMO_PROVIDER}
sites: [{ id: office }]
apps:
  - { id: hello, site: office, upstream: "http://hello.demo.localhost" }
  - { id: echo, site: office, upstream: "http://echo.demo.localhost" }
  - { id: evil, site: office, upstream: "http://127.0.0.1:${port}" }
policies:
  - { id: staff, effect: allow, apps: [hello, echo], when: { group: [staff] } }
  - { id: everybody, effect: allow, apps: [evil], when: { group: [staff, contractors] } }
  - { id: admins, effect: allow, apps: ["postern:admin"], when: { group: [admins] }, limits: { role: operator } }
  - { id: this-machine, effect: allow, apps: ["postern:admin"], when: { service: [local-operator] }, limits: { role: operator } }
`;

beforeAll(async () => {
  origin = createServer((request, response) => {
    received.push(request.headers.cookie ?? "");
    const path = (request.url ?? "/").split("?")[0] ?? "/";
    if (path.endsWith(".js")) return void response.writeHead(200, { "content-type": "text/javascript", "service-worker-allowed": "/" }).end("self.addEventListener('fetch', () => {});");
    if (path === "/plant") response.setHeader("set-cookie", COOKIES);
    response.setHeader("cache-control", "public, max-age=3600");
    response.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html><title>evil</title><p>for ${String(request.headers["x-postern-user"])}`);
  });
  await new Promise<void>((ready) => origin.listen(0, "127.0.0.1", ready));
  const file = join(state.path, "own.yaml");
  writeFileSync(file, document((origin.address() as AddressInfo).port));
  stage = await openStage({ documentFile: file });
  profile = await stage.profile();
  page = await profile.newPage();
  // carol administers Postern: the best victim.
  await visitAs(page, "carol", stage.at("evil"));
});
afterAll(async () => {
  await stage?.close();
  origin?.closeAllConnections();
  origin?.close();
  state.remove();
});

const launcher = (): string => `${stage.stack.launcher}/`;

/** The status of a WebSocket handshake with exactly these headers. */
function handshake(url: string, headers: Readonly<Record<string, string>>): Promise<number> {
  const { host, pathname } = new URL(url);
  return new Promise((resolve, reject) => {
    const call = httpRequest({ host: "127.0.0.1", port: stage.stack.port, path: pathname, headers: { host, connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==", ...headers } });
    call.on("upgrade", (_answer, socket) => {
      socket.destroy();
      resolve(101);
    });
    call.on("response", (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    call.on("error", reject);
    call.end();
  });
}

describe("a WebSocket of another app (class I)", () => {
  const dial = (from: Page, url: string): Promise<string> =>
    from.evaluate<string>(`new Promise((done) => { const socket = new WebSocket(${JSON.stringify(url)}); socket.onopen = () => done("open"); socket.onclose = () => done("closed"); })`);

  it("opens from the app's own page, and not from a sibling's or a stranger's", async () => {
    const socket = stage.at("echo", "/socket").replace("http:", "ws:");
    await page.goto(stage.at("echo"));
    expect(await dial(page, socket)).toBe("open");
    await page.goto(stage.at("evil"));
    expect(await dial(page, socket)).toBe("closed");
    expect(await dial(page, socket.replace("/socket", "/.postern/connect"))).toBe("closed");
    await page.goto(`${stage.stack.issuer}/nowhere`);
    expect(await dial(page, socket)).toBe("closed");
  });

  it("is refused for its Origin and for nothing else", async () => {
    const cookie = await cookieHeader(profile, stage.at("echo"));
    const own = stage.at("echo", "");
    const foreign = { own, evil: stage.at("evil", ""), launcher: stage.stack.launcher, null: "null", case: own.toUpperCase(), suffix: `${own}.evil`, other: own.replace(/:\d+$/, "") };
    const statuses = new Map<string, number>();
    for (const [name, value] of Object.entries(foreign)) statuses.set(name, await handshake(stage.at("echo"), { cookie, origin: value }));
    statuses.set("absent", await handshake(stage.at("echo"), { cookie }));
    statuses.set("nobody", await handshake(stage.at("echo"), { origin: own }));
    expect(Object.fromEntries(statuses)).toEqual({ own: 101, evil: 403, launcher: 403, null: 403, case: 403, suffix: 403, other: 403, absent: 403, nobody: 401 });
  });
});

describe("a form of another app (class I)", () => {
  const post = async (action: string, type: string): Promise<number> => {
    const answered = page.waitForResponse((response) => response.request().method() === "POST");
    await page.evaluate(`(() => { const form = document.createElement("form"); form.method = "post"; form.enctype = ${JSON.stringify(type)}; form.action = ${JSON.stringify(action)};
      const field = document.createElement("input"); field.name = '{"kind":"user","id":"carol@example.com","x":"'; field.value = '"}'; form.append(field); document.body.append(form); form.submit(); })()`);
    const response = await answered;
    await page.waitForURL(action);
    // Proof that it is the Origin that counts: the browser did send the cookie along.
    expect((await response.request().allHeaders())["cookie"]).toContain("__Host-postern=");
    return response.status();
  };

  it.each(["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])("neither signs anybody out nor administers (%s)", async (type) => {
    for (const action of [`${launcher()}.postern/logout`, stage.at("hello", "/.postern/logout"), `${launcher()}.postern/api/v1/revoke`, `${launcher()}.postern/api/v1/services`]) {
      await page.goto(stage.at("hello"));
      await page.goto(stage.at("evil"));
      expect([action, await post(action, type)]).toEqual([action, 403]);
    }
    await page.goto(launcher());
    expect(await page.locator("h1").innerText()).toBe("Your apps");
  });

  it("says at a page that another site sent it", async () => {
    await page.goto(stage.at("evil"));
    await post(`${launcher()}.postern/logout`, "text/plain");
    expect(await page.locator("h1").innerText()).toBe("Another site sent this request");
    await expectSound(page);
  });

  it("nor does a script's fetch, which reads nothing either", async () => {
    await page.goto(stage.at("evil"));
    const read = await page.evaluate<string>(`fetch(${JSON.stringify(`${launcher()}.postern/api/v1/revoke`)}, { method: "POST", credentials: "include", headers: { "content-type": "text/plain" }, body: '{"kind":"user","id":"carol@example.com"}' }).then(() => "read", () => "nothing")`);
    expect(read).toBe("nothing");
    const headers = { cookie: await cookieHeader(profile, launcher()), origin: stage.at("evil", ""), "sec-fetch-mode": "cors", "content-type": "text/plain" };
    const answer = await loopbackFetch(`${launcher()}.postern/api/v1/revoke`, { method: "POST", headers, body: '{"kind":"user","id":"carol@example.com"}' });
    expect([answer.status, answer.text]).toEqual([403, expect.stringContaining("origin_not_allowed")]);
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
    expect(await page.evaluate<string>(`fetch(${JSON.stringify(`${launcher()}.postern/me`)}, { credentials: "include" }).then(() => "read", () => "nothing")`)).toBe("nothing");
  });
});

describe("cookies of another app (class G, M19)", () => {
  it("the edge takes Domain and our names out of an app's Set-Cookie", async () => {
    await page.goto(stage.at("evil"));
    const { headers } = await navigate(stage.at("evil", "/plant"), { cookie: await cookieHeader(profile, stage.at("evil")) });
    expect(headers["set-cookie"]).toEqual(["wide=narrowed; Path=/", "own=kept; Path=/"]);
    await page.goto(stage.at("evil", "/plant"));
    await page.goto(stage.at("evil", "/planted"));
    expect((await profile.cookies(launcher())).map(({ name }) => name)).not.toContain("wide");
  });

  it("what its script sets for the whole domain, under names like ours, changes nobody's sign-in", async () => {
    const { profile: fresh, page: tab } = { profile: await stage.profile(), page: await profile.newPage() };
    await tab.goto(stage.at("evil"));
    const plant = (at: Page): Promise<void> => at.evaluate(`for (const name of ["__Host-postern", "__host-postern", "__Host-postern-nonce", "postern", "Postern", "postern-nonce", ""]) {
      document.cookie = name + "=planted; domain=postern.localhost; path=/"; document.cookie = name + "=planted; domain=postern.localhost; path=/; secure"; }
      document.cookie = "=__Host-postern=planted; domain=postern.localhost; path=/; secure";`);
    await plant(tab);
    expect(await cookieHeader(profile, launcher())).toContain("=planted");
    await tab.goto(launcher());
    expect(await tab.locator(".who").innerText()).toContain("carol@example.com");
    await tab.goto(stage.at("hello", "/tossed"));
    expect(await tab.locator("h1").innerText()).toBe("Hello, carol@example.com");
    await tab.close();

    // Planted before signing in (fixation): the session is new and one's own.
    const victim = await fresh.newPage();
    await victim.goto(stage.at("evil", "/"));
    await fillIn(victim, "bob");
    await victim.waitForURL(stage.at("evil", "/"));
    await plant(victim);
    await victim.goto(launcher());
    expect(await victim.locator(".who").innerText()).toContain("bob@partner.example.com");
    await fresh.close();
  });

  it("the app itself never sees a cookie of ours", () => {
    expect(received).toContain("");
    expect(received.some((cookie) => cookie.includes("own=kept") && cookie.includes("wide=narrowed"))).toBe(true);
    expect(received.filter((cookie) => /postern/i.test(cookie))).toEqual([]);
  });
});

describe("caches and service workers (class I, M19)", () => {
  it("every answer of ours is no-store, for carol, for bob and for nobody", async () => {
    const cookies = { carol: await cookieHeader(profile, stage.at("hello")), nobody: "" };
    const faults: string[] = [];
    for (const [who, cookie] of Object.entries(cookies)) {
      for (const url of [stage.at("no-such-app", "/account/x.css"), stage.at("hello", "/.postern/me"), stage.at("hello", "/.postern/none.css"), stage.at("hello", "/.postern/logout"), launcher(), `${launcher()}.postern/callback`, `${launcher()}x.css`]) {
        for (const mode of ["navigate", "no-cors"]) {
          const { status, headers } = await loopbackFetch(url, { headers: { "sec-fetch-mode": mode, ...(cookie === "" ? {} : { cookie }) } });
          if (headers["cache-control"] !== "no-store") faults.push(`${who} ${mode} ${url} ${status}: ${String(headers["cache-control"])}`);
        }
      }
    }
    expect(faults).toEqual([]);
  });

  it("what one person was shown, even if its app says public, is not shown to the next", async () => {
    await page.goto(stage.at("evil", "/account/x.css"));
    expect(await page.locator("p").innerText()).toBe("for carol@example.com");
    const other = await stage.profile();
    const tab = await other.newPage();
    await tab.goto(stage.at("evil", "/account/x.css"));
    await fillIn(tab, "bob");
    await tab.waitForURL(stage.at("evil", "/account/x.css"));
    expect(await tab.locator("p").innerText()).toBe("for bob@partner.example.com");
    const nobody = await navigate(stage.at("evil", "/account/x.css"));
    expect([nobody.status, nobody.text]).toEqual([302, ""]);
    await other.close();
  });

  it("a service worker over our own paths is refused, one over a folder of the app's is not", async () => {
    await page.goto(stage.at("evil"));
    const register = (script: string, scope?: string): Promise<string> =>
      page.evaluate<string>(`navigator.serviceWorker.register(${JSON.stringify(script)}, ${JSON.stringify(scope === undefined ? {} : { scope })}).then(({ scope }) => new URL(scope).pathname, () => "refused")`);
    expect(await register("/sw.js")).toBe("refused");
    expect(await register("/folder/sw.js", "/")).toBe("refused");
    expect(await register("/.postern/sw.js", "/.postern/")).toBe("refused");
    expect(await register("/folder/sw.js")).toBe("/folder/");
  });
});
