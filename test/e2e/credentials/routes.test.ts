/**
 * Every route of the edge's table × everybody who may call it: the admin API by role and origin,
 * the other routes by method, cookie and origin (class I). A route without a row fails.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { canonical } from "../../canonical.ts";
import { edgeApi } from "../../../start/edge-api.ts";
import { routeTable } from "../../../worker/app.ts";
import { ADMIN_ROWS, type AdminRow, type Caller, CALLERS, expectedOf, type CallerName, OPEN_ROWS, type OpenRow } from "./route-rows.ts";
import { ownProvider, type PeopleEdge, peopleEdge, type SignedIn, signInAs } from "./people-edge.ts";
import { ask, type HeaderLines, upgrade } from "./plain-request.ts";

const API = "/launcher/.postern/api/v1";
const DOCUMENT = `version: 1
domain: postern.localhost
identity: { providers: [${ownProvider()}] }
sites: [{ id: office }]
apps: [{ id: alpha, site: office, upstream: "ORIGIN" }]
policies:
  - { id: everybody, effect: allow, apps: [alpha], when: { provider: own } }
  - { id: robots, effect: allow, apps: [alpha], when: { service: plain } }
  - { id: admins, effect: allow, apps: ["postern:admin"], when: { group: [admins] }, limits: { role: operator } }
  - { id: viewers, effect: allow, apps: ["postern:admin"], when: { service: viewer } }
  - { id: responders, effect: allow, apps: ["postern:admin"], when: { service: responder }, limits: { role: responder } }
  - { id: emergency, effect: allow, apps: ["postern:admin"], when: { service: break-glass }, limits: { role: responder } }
  - { id: operators, effect: allow, apps: ["postern:admin"], when: { service: operator }, limits: { role: operator } }
`;

let edge: PeopleEdge;
const people = new Map<string, SignedIn>();
const tokens = new Map<string, string>();

beforeAll(async () => {
  edge = await peopleEdge({ document: DOCUMENT });
  edge.issuer.people.set("carol", { groups: ["admins"] });
  for (const user of ["alice", "carol"]) people.set(user, await signInAs(edge, user, edge.at("alpha")));
  const setup = readFileSync(edge.stack.tokenFile, "utf8").trim();
  tokens.set("setup", setup);
  const api = edgeApi(edge.launcher);
  for (const name of ["plain", "viewer", "responder", "operator"]) tokens.set(name, await api.createService(setup, name, "1d"));
  tokens.set("enrolment", await api.enrollToken(setup, "office"));
  const headers: HeaderLines = [["Authorization", `Bearer ${setup}`], ["Content-Type", "application/json"]];
  const sealed = JSON.parse((await ask({ url: `${edge.launcher}/.postern/api/v1/break-glass`, method: "POST", headers, body: '{"people":2}' })).text) as { codes: [string, string] };
  const opened = await ask({ url: `${edge.launcher}/.postern/break-glass`, method: "POST", headers: headers.slice(1), body: JSON.stringify({ codes: sealed.codes }) });
  tokens.set("code", sealed.codes[0]);
  tokens.set("glass", (JSON.parse(opened.text) as { token: string }).token);
});
afterAll(() => edge?.stop());

const cookies = (user: string, url = edge.launcher): HeaderLines => [["Cookie", people.get(user)?.browser.cookieHeader(url) ?? ""]];

function headersOf(name: CallerName): HeaderLines {
  const { user, token, origin }: Caller = CALLERS[name];
  const lines: [string, string][] = [];
  if (user !== undefined) lines.push(...(cookies(user) as [string, string][]));
  if (token !== undefined) lines.push(["Authorization", `Bearer ${tokens.get(token)}`]);
  if (origin !== undefined) lines.push(["Origin", origin === "own" ? edge.launcher : origin]);
  return lines;
}

const shown = ({ status, code }: { readonly status: number; readonly code: string }): string => `${status}${code === "" ? "" : ` ${code}`}`;
const keyOf = (method: string, path: string): string => `${method} ${path}`;
const bodyOf = (row: AdminRow, caller: string): string | undefined => (row.body === "document" ? canonical(edge.document) : row.body?.replace("CALLER", caller.replace(/[^a-z]+/g, "-")));

describe("the route table", () => {
  const all = [...new Set(routeTable.filter(([method]) => method !== "ALL").map(([method, path]) => keyOf(method, path)))];
  it("has a row for each route, and a route for each row", () => {
    expect(all.length).toBeGreaterThan(20);
    expect([...Object.keys(ADMIN_ROWS), ...Object.keys(OPEN_ROWS)].sort()).toEqual(all.sort());
    expect(Object.keys(ADMIN_ROWS).filter((key) => !key.includes(API))).toEqual([]);
    expect(Object.keys(OPEN_ROWS).filter((key) => key.includes(API))).toEqual([]);
  });
});

describe("the admin API", () => {
  for (const [key, row] of Object.entries(ADMIN_ROWS)) {
    const [method = "", path = ""] = key.split(" ");
    const url = (): string => edge.launcher + path.replace("/launcher", "").replace(":id", row.id ?? "");
    for (const caller of Object.keys(CALLERS) as CallerName[]) {
      const expected = expectedOf(method, row, caller);
      it(`${method} ${path.slice(API.length)} by ${caller} → ${expected}`, async () => {
        const body = bodyOf(row, caller);
        const answer = await ask({ url: url(), method, headers: [...headersOf(caller), ["Content-Type", "application/json"]], ...(body === undefined ? {} : { body }) });
        expect(shown(answer)).toBe(expected);
        if (answer.status >= 400) expect(answer.text).not.toMatch(/"(?:token|text|digest|thumbprint|streams)"/);
      });
    }
    it(`${method} ${path.slice(API.length)} is at the launcher only, and answers to no other method`, async () => {
      const at = path.replace("/launcher", "").replace(":id", row.id ?? "");
      const elsewhere = await Promise.all([edge.at("alpha", at), edge.at("nobody", at)].map((there) => ask({ url: there, method, headers: headersOf("operator service") })));
      expect(elsewhere.map(shown)).toEqual(["404 not_found", "404 not_found"]);
      for (const other of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].filter((one) => !Object.hasOwn(ADMIN_ROWS, keyOf(one, path)))) {
        expect(`${other} ${shown(await ask({ url: url(), method: other, headers: headersOf("operator service") }))}`).toBe(`${other} 404 not_found`);
      }
    });
  }

  describe("a change by a cookie needs this host's own Origin, whatever the form (class I)", () => {
    const change = JSON.stringify({ kind: "service", id: "nobody" });
    const own = (): string => edge.launcher;
    it.each<[string, string, () => string | undefined]>([
      ["none", "403 origin_not_allowed", () => undefined],
      ["null", "403 origin_not_allowed", () => "null"],
      ["an app's", "403 origin_not_allowed", () => edge.at("alpha", "")],
      ["another port's", "403 origin_not_allowed", () => own().replace(/:\d+$/, ":1")],
      ["https instead", "403 origin_not_allowed", () => own().replace("http:", "https:")],
      ["with a slash", "403 origin_not_allowed", () => `${own()}/`],
      ["in capitals", "403 origin_not_allowed", () => own().toUpperCase()],
      ["ours and another", "403 origin_not_allowed", () => `${own()}, https://evil.example`],
      ["its own", "404 unknown_id", own],
    ])("%s → %s", async (_name, expected, origin) => {
      const said = origin();
      for (const type of ["application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", undefined]) {
        const headers: HeaderLines = [...cookies("carol"), ...(said === undefined ? [] : [["Origin", said] as const]), ...(type === undefined ? [] : [["Content-Type", type] as const])];
        const answer = await ask({ url: `${edge.launcher}/.postern/api/v1/revoke`, method: "POST", headers, body: change });
        expect(`${type}: ${shown(answer)}`).toBe(`${type}: ${expected}`);
      }
    });

    it("a token's change needs none: no browser sends it by itself", async () => {
      const answer = await ask({ url: `${edge.launcher}/.postern/api/v1/revoke`, method: "POST", headers: [...headersOf("operator service"), ["Origin", "https://evil.example"]], body: change });
      expect(shown(answer)).toBe("404 unknown_id");
    });

    it("no page of another origin may read an answer, or ask whether it may", async () => {
      const preflight = await ask({ url: `${edge.launcher}/.postern/api/v1/policy`, method: "OPTIONS", headers: [...cookies("carol"), ["Origin", "https://evil.example"], ["Access-Control-Request-Method", "POST"]] });
      const read = await ask({ url: `${edge.launcher}/.postern/api/v1/policy`, headers: [...cookies("carol"), ["Origin", "https://evil.example"]] });
      for (const answer of [preflight, read]) expect(Object.keys(answer.headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);
      expect(preflight.status).toBe(404);
      expect(read.headers["cache-control"]).toBe("no-store");
    });
  });
});

it("the launcher tells operators that the break-glass account is open, and nobody else", async () => {
  const page = async (user: string): Promise<string> => (await ask({ url: `${edge.launcher}/`, headers: [...cookies(user), ["Accept", "text/html"], ["Sec-Fetch-Mode", "navigate"]] })).text;
  expect(await page("carol")).toContain("The break-glass account is open");
  expect(await page("alice")).not.toContain("break-glass");
});

describe("every other route", () => {
  for (const [key, row] of Object.entries<OpenRow>(OPEN_ROWS)) {
    const [method = "", path = ""] = key.split(" ");
    const places = path.startsWith("/:place") ? ["launcher", "alpha"] : path.startsWith("/app") ? ["alpha"] : ["launcher"];
    const bare = path.replace(/^\/[^/]+/, "") || "/";
    const hostOf = (place: string): string => (place === "launcher" ? edge.launcher : edge.at(place, ""));
    for (const place of places) {
      for (const [who, expected] of Object.entries(row.cells)) {
        it(`${method} ${bare} at ${place} ${who} → ${expected}`, async () => {
          const host = hostOf(place);
          const user = who.includes("by alice") ? "alice" : who.includes("by carol") ? "carol" : undefined;
          // Signing out ends the session: somebody of the test's own.
          if (row.ends === true && user !== undefined) people.set(user, await signInAs(edge, user, edge.at("alpha")));
          const origin = who.includes("foreign Origin") ? "https://evil.example" : who.includes("null Origin") ? "null" : who.includes("own Origin") ? host : undefined;
          const type = /as (\S+\/\S+)/.exec(who)?.[1] ?? (method === "POST" ? row.type : undefined);
          const headers: HeaderLines = [
            ...(user === undefined ? [] : cookies(user, host)),
            ...(origin === undefined ? [] : [["Origin", origin] as const]),
            ...(type === undefined ? [] : [["Content-Type", type] as const]),
          ];
          const url = host + bare + (row.query ?? "");
          const answer = who.startsWith("as a WebSocket") ? await upgrade(url, headers, [row.subprotocol ?? ""]) : await ask({ url, method, headers, ...(row.body === undefined ? {} : { body: row.body }) });
          expect(shown(answer)).toBe(expected);
        });
      }
    }
    it(`${method} ${bare}: no other method and no other kind of host`, async () => {
      for (const place of places) {
        for (const other of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].filter((one) => !Object.keys(OPEN_ROWS).some((one2) => one2 === keyOf(one, path)))) {
          expect(`${other} ${shown(await ask({ url: hostOf(place) + bare, method: other, headers: cookies("carol", hostOf(place)) }))}`).toBe(`${other} 404 not_found`);
        }
      }
      if (places.length === 2 || bare === "/") return;
      const wrong = places[0] === "launcher" ? "alpha" : "launcher";
      expect(shown(await ask({ url: hostOf(wrong) + bare, method, headers: cookies("carol", hostOf(wrong)) }))).toBe("404 not_found");
    });
  }

  it("none of this was the app's to see", () => {
    expect(edge.origin.hits.map(({ target }) => target).filter((target) => target.includes(".postern"))).toEqual([]);
    // The people's sign-ins ended at the app's front page: it is there and counts.
    expect(edge.origin.hits.length).toBeGreaterThan(0);
  });
});
