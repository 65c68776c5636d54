/**
 * Who may call each route: a class for every line of worker/app.ts's table. A route that is
 * added without one fails here; a class is a promise that SECURITY.md relies on.
 */
import { describe, expect, it } from "vitest";
import { read } from "./source-files.ts";

/**
 * anybody: says nothing about anybody · person: finds out by itself who is signed in ·
 * code: needs a secret that was handed out for this · key: proves a connector's key or token ·
 * page: a change by a cookie, so it compares Origin · setup: the setup key · a role: postern:admin.
 */
type Class = "anybody" | "person" | "code" | "key" | "page" | "setup" | "viewer" | "responder" | "operator";

const CLASSES: Readonly<Record<string, Class>> = {
  "get /:place/.postern/jwks.json": "anybody",
  "get /:place/.postern/ready": "anybody",
  "get /launcher/": "person",
  "get /launcher/.postern/login": "person",
  "get /launcher/.postern/callback": "code",
  "get /launcher/.postern/signed-out": "anybody",
  "post /launcher/.postern/token": "code",
  "post /launcher/.postern/device/begin": "anybody",
  "get /launcher/.postern/device": "person",
  "post /launcher/.postern/device": "page",
  "get /:place/.postern/me": "person",
  "get /:place/.postern/logout": "person",
  "post /:place/.postern/logout": "page",
  "get /app/.postern/sign-in": "anybody",
  "get /app/.postern/continue": "code",
  "get /launcher/.postern/connector.mjs": "anybody",
  "get /launcher/.postern/connector.mjs.sha256": "anybody",
  "post /launcher/.postern/connectors/enroll": "key",
  "get /launcher/.postern/connect": "key",
  "post /api/setup": "setup",
  "post /api/policy": "operator",
  "get /api/policy": "viewer",
  "get /api/policy/history": "viewer",
  "post /api/revoke": "responder",
  "get /api/receipts/:id": "viewer",
  "post /api/services": "operator",
  "get /api/services": "viewer",
  "post /api/enroll-tokens": "operator",
  "get /api/connectors": "viewer",
  "get /api/edge-status": "viewer",
  "get /api/sessions": "viewer",
  "get /api/explain/:id": "viewer",
};

interface Route {
  readonly name: string;
  /** "policy.apply" or "login": the function that answers. */
  readonly handler: string;
}

const app = read("worker/app.ts");
const routes: readonly Route[] = [...app.matchAll(/^ {2}\.(get|post|put|patch|delete|all|on|use)\([`"]([^`"]+)[`"], (?:async )?\(c\) => ([\w.]+)\(/gm)].map(([, method = "", path = "", handler = ""]) => ({
  name: `${method} ${path.replace("/launcher${API}", "/api")}`,
  handler,
}));

/** The text of the function that answers a route. */
function bodyOf(handler: string): string {
  const [space, name = ""] = handler.includes(".") ? handler.split(".") : ["", handler];
  const imported = space === "" ? new RegExp(`import \\{[^}]*\\b${name}\\b[^}]*\\} from "\\.\\/(routes\\/[^"]+)"`) : new RegExp(`import \\* as ${space} from "\\.\\/(routes\\/[^"]+)"`);
  const file = imported.exec(app)?.[1];
  const body = file === undefined ? undefined : new RegExp(`export (?:async )?function ${name}\\([\\s\\S]*?\\n\\}\\n`).exec(read(`worker/${file}`))?.[0];
  if (body === undefined) throw new Error(`the function behind ${handler} was not found`);
  return body;
}

describe("routes", () => {
  it("all of the table are found here", () => {
    expect(routes.length).toBe(app.match(/^ {2}\.(?:get|post|put|patch|delete|all|on|use)\(/gm)?.length);
    expect(app).not.toMatch(/routes\.(?:get|post|put|patch|delete|all|on|use|route|mount)\(/);
  });

  it("each has a class, and each class a route", () => {
    expect(routes.map((route) => route.name).sort()).toEqual(Object.keys(CLASSES).sort());
  });

  it.each(routes.filter(({ name }) => name.includes("/api/")))("$name asks for exactly its role before anything else", ({ name, handler }) => {
    const body = bodyOf(handler);
    const wanted = CLASSES[name];
    if (wanted === "setup") return expect(body).toContain("equalSecrets(");
    expect(body.split("\n").slice(1, 3)).toEqual([`  const operator = await asOperator(x, "${wanted}");`, "  if (operator instanceof Response) return operator;"]);
  });

  it.each(routes.filter(({ name }) => CLASSES[name] === "page"))("$name compares Origin before it changes anything", ({ handler }) => {
    const body = bodyOf(handler);
    const compared = body.indexOf('x.request.headers.get("origin") !== originOf(x.url)) return refuse(x, "origin_not_allowed");');
    const acts = [...body.matchAll(/\b(?:endOwnSession|decideDevice|mintCode|recordAct)\(/g)].map((match) => match.index).filter((index) => index > body.indexOf("\n"));
    expect(compared).toBeGreaterThan(0);
    expect(acts.length).toBeGreaterThan(0);
    expect(Math.min(...acts)).toBeGreaterThan(compared);
  });

  it("a route that changes state with a cookie is a page or the API, whose asOperator compares Origin", () => {
    const others = routes.filter(({ name }) => name.startsWith("post") && !name.includes("/api/") && CLASSES[name] !== "page");
    expect(others.map((route) => route.name).sort()).toEqual(["post /launcher/.postern/connectors/enroll", "post /launcher/.postern/device/begin", "post /launcher/.postern/token"]);
    for (const { handler } of others) expect(bodyOf(handler)).not.toContain("readCredential");
    expect(read("worker/routes/admin/operator.ts")).toContain('if (credential.cookie && x.method !== "GET" && x.request.headers.get("origin") !== originOf(x.url))');
  });
});
