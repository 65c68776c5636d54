import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SessionId } from "../../core/ids.ts";
import type { ScimChange } from "../../identity/scim-change.ts";
import { CONTROL_AUDIT_NAME } from "../../durable-objects/bindings.ts";
import { Control } from "../../durable-objects/control/control.ts";
import { User } from "../../durable-objects/user/user.ts";
import { userIdOf } from "../../identity/claims.ts";
import { objects, sessionOf, signedIn, stubs, wipe } from "../objects/deployment.ts";
import entra from "../identity/scim/entra.json?raw";
import okta from "../identity/scim/okta.json?raw";
import { isolate } from "./isolate.ts";
import { LAUNCHER, PROVIDER, SECRETS, setUpDocument } from "./pushing-systems.ts";

const CORP = `Bearer ${SECRETS.CORP_SCIM_TOKEN}`;
const SCIM = "application/scim+json";
const USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User";

/** As test/identity/scim/ has them. */
interface DialectRequest {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly asks: { readonly change?: ScimChange };
}

interface Said {
  readonly status: number;
  readonly body: Record<string, unknown> & { id: string };
  readonly headers: Headers;
}

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Said> {
  const edge = isolate(SECRETS);
  const sent = body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) };
  const answer = await edge(LAUNCHER, `/.postern/scim/v2${path}`, { method, headers: { authorization: CORP, ...(body === undefined ? {} : { "content-type": SCIM }), ...headers }, ...sent });
  const text = await answer.text();
  return { status: answer.status, body: (text === "" ? {} : JSON.parse(text)) as Said["body"], headers: answer.headers };
}
const filterOf = (text: string): string => `filter=${encodeURIComponent(text)}`;
const patch = (id: string, operations: unknown, kind = "Users"): Promise<Said> => call("PATCH", `/${kind}/${id}`, { schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], Operations: operations });
const user = async (name: string, more: object = {}): Promise<string> => (await call("POST", "/Users", { schemas: [USER_SCHEMA], userName: `${name}@example.com`, externalId: name, active: true, ...more })).body.id;
const group = async (name: string, members: readonly string[]): Promise<string> => (await call("POST", "/Groups", { displayName: name, members: members.map((value) => ({ value })) })).body.id;
const standing = async (name: string, email?: string): Promise<unknown> => objects.CONTROL.getByName("control").standing({ id: await userIdOf(PROVIDER, name), issuer: PROVIDER, sub: name, ...(email === undefined ? {} : { email }) });

/** Somebody signs in as the edge lets them, and has a session. */
async function person(name: string): Promise<SessionId> {
  await standing(name);
  return signedIn(await userIdOf(PROVIDER, name), { attemptStartedAt: Date.now() + 60_000 });
}
const live = (sid: SessionId): Promise<boolean | undefined> => sessionOf(sid).isLive();
const groupsOf = async (sid: SessionId): Promise<unknown> => (await sessionOf(sid).describe())?.facts["groups"]?.value;

afterEach(wipe);

describe("a directory", () => {
  beforeEach(() => setUpDocument({ corp: ", scim: { token: { secret: CORP_SCIM_TOKEN } }" }));

  it("creates, finds, changes and deletes, as SCIM writes it", async () => {
    const made = await call("POST", "/Users", { schemas: [USER_SCHEMA], userName: "Ann@example.com", externalId: "ann", name: { givenName: "Ann", familyName: "Example" }, displayName: "Ann Example", emails: [{ value: "ann@example.com", primary: true }] });
    const { id } = made.body;
    const location = `https://access.example.com/.postern/scim/v2/Users/${id}`;
    const whole = {
      schemas: [USER_SCHEMA], id, externalId: "ann", userName: "Ann@example.com", displayName: "Ann Example", active: true,
      name: { givenName: "Ann", familyName: "Example" }, emails: [{ value: "ann@example.com", type: "work", primary: true }], meta: { resourceType: "User", location },
    };
    expect([made.status, made.body, made.headers.get("content-type"), made.headers.get("location")]).toEqual([201, whole, SCIM, location]);
    expect((await call("GET", `/Users/${id}`)).body).toEqual(whole);
    expect((await call("GET", `/Users?${filterOf('userName eq "ann@EXAMPLE.com"')}`)).body).toEqual({ schemas: ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], totalResults: 1, itemsPerPage: 1, startIndex: 1, Resources: [whole] });
    expect((await call("GET", `/Users?${filterOf('userName eq "nobody"')}`)).body).toMatchObject({ totalResults: 0, Resources: [] });
    expect((await call("PUT", `/Users/${id}`, { userName: "ann@example.com", active: false })).body).toMatchObject({ userName: "ann@example.com", active: false, externalId: "ann", displayName: "Ann Example" });
    expect((await patch(id, [{ op: "Replace", path: "active", value: "True" }])).body).toMatchObject({ active: true });
    const gone = await call("DELETE", `/Users/${id}`);
    expect([gone.status, gone.body]).toEqual([204, {}]);
    for (const method of ["GET", "DELETE"]) expect((await call(method, `/Users/${id}`)).body).toEqual({ schemas: ["urn:ietf:params:scim:api:messages:2.0:Error"], status: "404", detail: "no such resource" });
  });

  it("lists groups with their members, or without", async () => {
    const [ann, bob] = [await user("ann"), await user("bob")];
    const staff = await group("staff", [ann, bob]);
    expect((await call("GET", `/Groups/${staff}`)).body).toMatchObject({ displayName: "staff", members: [ann, bob].sort().map((value) => ({ value, type: "User" })) });
    expect((await call("GET", `/Groups/${staff}?excludedAttributes=members`)).body["members"]).toBeUndefined();
    expect((await call("GET", `/Groups?${filterOf('displayName eq "Staff"')}&excludedAttributes=members`)).body).toMatchObject({ totalResults: 1, Resources: [{ id: staff }] });
    const changed = await patch(staff, [{ op: "remove", path: `members[value eq "${ann}"]` }], "Groups");
    expect([changed.status, changed.body]).toEqual([204, {}]);
    expect((await call("GET", `/Groups/${staff}`)).body).toMatchObject({ members: [{ value: bob }] });
  });

  it("pages, and takes no odd numbers amiss", async () => {
    for (const name of ["a", "b", "c"]) await user(name);
    const ids = async (query: string): Promise<unknown> => ((await call("GET", `/Users?${query}`)).body["Resources"] as { externalId: string }[]).map((one) => one.externalId);
    expect(await ids("startIndex=2&count=1")).toEqual(["b"]);
    expect(await ids("startIndex=0")).toEqual(["a", "b", "c"]);
    expect(await ids("startIndex=-1&count=-1")).toEqual([]);
    expect(await ids("startIndex=x&count=1e9")).toEqual(["a", "b", "c"]);
  });

  it("says what it can", async () => {
    expect((await call("GET", "/ServiceProviderConfig")).body).toMatchObject({ patch: { supported: true }, bulk: { supported: false }, filter: { supported: true } });
    expect((await call("GET", "/ResourceTypes")).body).toMatchObject({ totalResults: 2, Resources: [{ endpoint: "/Users" }, { endpoint: "/Groups" }] });
    expect((await call("GET", "/Schemas")).body).toMatchObject({ totalResults: 2, Resources: [{ id: USER_SCHEMA }, {}] });
  });

  it.each<[string, string, string, unknown, Record<string, string>, number, string | undefined]>([
    ["text that is no JSON", "POST", "/Users", "{", {}, 400, "invalidSyntax"],
    ["a list", "POST", "/Users", [], {}, 400, "invalidSyntax"],
    ["what is packed (row 106)", "POST", "/Users", { userName: "x" }, { "content-encoding": "gzip" }, 415, undefined],
    ["a form (row 67)", "POST", "/Users", "userName=x", { "content-type": "application/x-www-form-urlencoded" }, 415, undefined],
    ["a megabyte (row 83)", "POST", "/Users", "x".repeat(1_000_000), {}, 413, undefined],
    ["an unknown filter", "GET", `/Users?${filterOf("password pr")}`, undefined, {}, 400, "invalidFilter"],
    ["Bulk (row 96)", "POST", "/Bulk", { Operations: [] }, {}, 404, undefined],
    ["another kind", "GET", "/Roles", undefined, {}, 404, undefined],
    ["a deeper path", "GET", "/Users/a/b", undefined, {}, 404, undefined],
    ["POST to an id", "POST", "/Users/a", { userName: "x" }, {}, 404, undefined],
    ["PATCH without an id", "PATCH", "/Users", { Operations: [] }, {}, 404, undefined],
  ])("refuses %s", async (_, method, path, body, headers, status, scimType) => {
    const said = await call(method, path, body, headers);
    expect([said.status, said.body["status"], said.body["scimType"]]).toEqual([status, String(status), scimType]);
  });

  it.each<[string, string | undefined]>([
    ["none", undefined],
    ["another", "Bearer another-token-of-more-than-32-characters"],
    ["one of another scheme (row 52)", `Basic ${SECRETS.CORP_SCIM_TOKEN}`],
    ["two", `${CORP}, ${CORP}`],
    ["the name of the secret", "Bearer CORP_SCIM_TOKEN"],
  ])("answers %s as its bearer with 401, whatever is asked", async (_, authorization) => {
    for (const [method, path] of [["GET", "/Users"], ["GET", "/ServiceProviderConfig"], ["POST", "/Users"], ["DELETE", "/Users/x"], ["GET", "/nothing"]] as const) {
      const said = await call(method, path, method === "POST" ? "not even JSON" : undefined, { authorization: authorization ?? "" });
      expect([said.status, said.headers.get("www-authenticate"), said.body]).toEqual([401, "Bearer", { schemas: ["urn:ietf:params:scim:api:messages:2.0:Error"], status: "401", detail: "bearer" }]);
    }
  });

  it("asks control for nobody without a bearer", async () => {
    const edge = isolate(SECRETS);
    const asked = vi.spyOn(Control.prototype, "policy");
    for (let i = 0; i < 5; i++) expect((await edge(LAUNCHER, "/.postern/scim/v2/Users")).status).toBe(401);
    expect(asked.mock.calls.length).toBe(1);
    expect((await edge(LAUNCHER, "/.postern/scim/v2/Users", { headers: { authorization: CORP } })).status).toBe(200);
    expect(asked.mock.calls.length).toBe(2);
  });

  it("shows and changes nothing of another provider's", async () => {
    const ann = await user("ann");
    const theirs = { authorization: `Bearer ${SECRETS.PARTNER_SCIM_TOKEN}` };
    expect((await call("GET", "/Users", undefined, theirs)).body).toMatchObject({ totalResults: 0 });
    expect((await call("GET", `/Users/${ann}`, undefined, theirs)).status).toBe(404);
    expect((await call("DELETE", `/Users/${ann}`, undefined, theirs)).status).toBe(404);
    expect((await call("POST", "/Groups", { displayName: "staff", members: [{ value: ann }] }, theirs)).status).toBe(400);
    expect((await call("POST", "/Users", { userName: "ann@example.com", externalId: "ann", active: false }, theirs)).status).toBe(201);
    expect(await standing("ann")).toMatchObject({ groups: [] });
  });
});

describe.each([["Entra", entra], ["Okta", okta]])("%s's requests, one after the other", (_name, requests) => {
  it("are answered as it expects, and leave what they say", async () => {
    await setUpDocument({ corp: ", scim: { token: { secret: CORP_SCIM_TOKEN } }" });
    const [ann, bob] = [await user("ann"), await user("bob")];
    const ids: Record<string, string> = {};
    for (const request of JSON.parse(requests) as DialectRequest[]) {
      const kind = request.path.startsWith("/Users") ? "Users" : "Groups";
      const filled = (text: string): string => text.replaceAll("/ID", `/${ids[kind]}`).replaceAll('"ID"', `"${ids[kind]}"`).replace(/f648f8d5ea4e4cd38e9c|23a35c27-23d3/g, ann).replaceAll("89bb1940b905", bob);
      const [path = "", query] = filled(request.path).split("?");
      const said = await call(request.method, query === undefined ? path : `${path}?${new URLSearchParams(query).toString()}`, request.body === undefined ? undefined : filled(JSON.stringify(request.body)));
      expect(said.status, request.what).toBe(request.method === "POST" ? 201 : request.method === "PATCH" && kind === "Groups" ? 204 : 200);
      if (request.method === "POST") ids[kind] = said.body.id;
      const { change } = request.asks;
      if (kind === "Users" && change?.active !== undefined) expect(said.body["active"], request.what).toBe(change.active);
      if (change?.members !== undefined) {
        const members = ((await call("GET", `/Groups/${ids["Groups"]}`)).body["members"] as { value: string }[]).map((one) => one.value);
        for (const { add, ids: named } of change.members) if (named !== "all") for (const one of named) expect(members.includes(filled(one)), request.what).toBe(add);
      }
    }
  });
});

describe("what it means for people (class H, row 59)", () => {
  beforeEach(() => setUpDocument({ corp: ", scim: { token: { secret: CORP_SCIM_TOKEN } }" }));

  it.each<[string, (id: string) => Promise<Said>]>([
    ["Entra deactivates", (id) => patch(id, [{ op: "Replace", path: "active", value: "False" }])],
    ["Okta deactivates", (id) => patch(id, [{ op: "replace", value: { active: false } }])],
    ["Okta writes inactive", (id) => call("PUT", `/Users/${id}`, { userName: "ann@example.com", active: false })],
    ["deleted", (id) => call("DELETE", `/Users/${id}`)],
  ])("%s: every session has ended when it is answered, and no sign-in is let in", async (_, act) => {
    const [id, bobs] = [await user("ann"), await user("bob")];
    const sids = [await person("ann"), await person("ann")];
    const bob = await person("bob");
    expect((await act(id)).status).toBeLessThan(300);
    expect(await Promise.all(sids.map(live))).toEqual([false, false]);
    expect(await live(bob)).toBe(true);
    expect([await standing("ann"), await standing("bob")]).toEqual(["inactive", { groups: [], at: expect.any(Number) as number }]);
    // A sign-in that was let in just before is refused by the person's own object.
    expect(await objects.USER.getByName(await userIdOf(PROVIDER, "ann")).signIn({ ...(await signInLike("ann")), attemptStartedAt: Date.now() - 1_000 })).toMatchObject({ ok: false, code: "revoked" });
    expect(bobs).not.toBe(id);
  });

  it("active again: sign-in is let in again, with the groups of now", async () => {
    const id = await user("ann");
    const staff = await group("staff", [id]);
    const before = await person("ann");
    await patch(id, [{ op: "replace", value: { active: false } }]);
    await patch(staff, [{ op: "replace", path: "displayName", value: "crew" }], "Groups");
    await patch(id, [{ op: "replace", value: { active: true } }]);
    expect(await standing("ann")).toMatchObject({ groups: ["corp:crew"] });
    const after = await person("ann");
    expect([await live(before), await live(after), await groupsOf(after)]).toEqual([false, true, ["corp:crew"]]);
  });

  it("groups are those of the directory in live sessions, after each change", async () => {
    const [ann, bob] = [await user("ann"), await user("bob")];
    const sid = await person("ann");
    expect(await groupsOf(sid)).toBeUndefined();
    const staff = await group("staff", [ann, bob]);
    expect(await groupsOf(sid)).toEqual(["corp:staff"]);
    const ops = await group("ops", []);
    await patch(ops, [{ op: "Add", path: "members", value: [{ value: ann }] }], "Groups");
    expect(await groupsOf(sid)).toEqual(["corp:ops", "corp:staff"]);
    await patch(staff, [{ op: "Remove", path: `members[value eq "${ann}"]` }, { op: "Replace", path: "displayName", value: "crew" }], "Groups");
    expect(await groupsOf(sid)).toEqual(["corp:ops"]);
    await call("DELETE", `/Groups/${ops}`);
    expect(await groupsOf(sid)).toEqual([]);
    expect(await live(sid)).toBe(true);
  });

  it("several operations of one request are one change, and the same request again is none", async () => {
    const ids = [await user("ann"), await user("bob")];
    const sids = [await person("ann"), await person("bob")];
    const staff = await group("staff", []);
    const signals = async (): Promise<number> => (await objects.AUDIT.getByName(CONTROL_AUDIT_NAME).since(0, 5_000)).filter((one) => one.kind === "signal").length;
    const before = await signals();
    const operations = [{ op: "Add", path: "members", value: ids.map((value) => ({ value })) }, { op: "Replace", path: "displayName", value: "crew" }, { op: "Remove", path: `members[value eq "${ids[1]}"]` }];
    for (let i = 0; i < 3; i++) expect((await patch(staff, operations, "Groups")).status).toBe(204);
    expect([await groupsOf(sids[0] as SessionId), await groupsOf(sids[1] as SessionId)]).toEqual([["corp:crew"], undefined]);
    expect(await signals()).toBe(before + 1);
  });

  it("who signed in before there was a directory is found in it", async () => {
    const id = await userIdOf(PROVIDER, "ann");
    const sid = await signedIn(id);
    await objects.CONTROL.getByName("control").noteSignIn({ id, issuer: PROVIDER, sub: "ann", lastSignInAt: 1 });
    await user("ann", { active: false });
    expect(await live(sid)).toBe(false);
  });

  it("who was unknown when they were asked for, and is inactive once they signed in, does not stay", async () => {
    const control = objects.CONTROL.getByName("control");
    const noted = async (name: string): Promise<boolean> => control.noteSignIn({ id: await userIdOf(PROVIDER, name), issuer: PROVIDER, sub: name, lastSignInAt: 1 }, { id: `of ${name}`, sid: await person(name), endsAt: Date.now() + 60_000 });
    expect([await standing("ann"), await standing("bob")]).toEqual(["unknown", "unknown"]);
    await user("ann", { active: false });
    await user("bob");
    expect([await noted("ann"), await noted("bob"), await noted("eve")]).toEqual([false, true, true]);
  });

  it("a change whose effect failed is not answered as done, and takes effect by the alarm or when it is asked for again (row 62)", async () => {
    const [ann, bob] = [await user("ann"), await user("bob")];
    const [anns, bobs] = [await person("ann"), await person("bob")];
    const broken = vi.spyOn(User.prototype, "revoke").mockRejectedValue(new Error("the store is down"));
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    for (const id of [ann, bob]) expect((await patch(id, [{ op: "replace", value: { active: false } }])).status).toBe(503);
    expect(await standing("ann")).toBe("inactive");
    broken.mockRestore();
    expect((await patch(ann, [{ op: "replace", value: { active: false } }])).status).toBe(200);
    expect(await live(anns)).toBe(false);
    await runDurableObjectAlarm(stubs.CONTROL.getByName("control"));
    expect(await live(bobs)).toBe(false);
  });

  it("requests at once, each twice: what each says holds in the end, in live sessions too (F22)", async () => {
    const names = Array.from({ length: 12 }, (_, i) => `u${i}`);
    const ids = await Promise.all(names.map((name) => user(name)));
    const sids = await Promise.all(names.map((name) => person(name)));
    const [staff, ops] = [await group("staff", ids.slice(6)), await group("ops", [])];
    const asked = ids.flatMap((id, i) => {
      const [leaves, joins] = [patch.bind(undefined, staff, [{ op: "remove", path: `members[value eq "${id}"]` }], "Groups"), patch.bind(undefined, ops, [{ op: "add", path: "members", value: [{ value: id }] }], "Groups")];
      return i < 6 ? [joins, joins] : [leaves, joins, leaves, joins];
    });
    expect(new Set((await Promise.all(asked.map((one) => one()))).map(({ status }) => status))).toEqual(new Set([204]));
    expect(await Promise.all(sids.map(groupsOf))).toEqual(names.map(() => ["corp:ops"]));
    expect(((await call("GET", `/Groups/${ops}`)).body["members"] as unknown[]).length).toBe(12);
    expect((await call("GET", `/Groups/${staff}`)).body["members"]).toEqual([]);
  });

  it("2,000 users and a change of their group: each once, whatever the order (F22)", async () => {
    const control = objects.CONTROL.getByName("control");
    const ids: string[] = [];
    for (let i = 0; i < 2_000; i++) {
      const made = await control.provision("corp", { do: "create", kind: "Users", change: { name: `u${i}`, externalId: `u${i}` } });
      if (!made.ok) throw new Error(made.error.detail);
      ids.push(made.value.entries[0]?.id ?? "");
    }
    const sid = await person("u1711");
    const began = Date.now();
    const staff = await call("POST", "/Groups", { displayName: "staff", members: ids.map((value) => ({ value })) });
    expect(staff.status).toBe(201);
    expect(Date.now() - began).toBeLessThan(15_000);
    expect(await groupsOf(sid)).toEqual(["corp:staff"]);
    expect(await standing("u1")).toMatchObject({ groups: ["corp:staff"] });
  }, 120_000);
});

async function signInLike(name: string): Promise<Parameters<ReturnType<typeof objects.USER.getByName>["signIn"]>[0]> {
  const owner = await userIdOf(PROVIDER, name);
  return { owner, subject: { kind: "user", id: owner }, display: { sub: name }, facts: {}, attemptStartedAt: 0, endsAt: Date.now() + 60_000, idleMs: 60_000, credential: { kind: "cookie", audience: "host:x", hash: "h".repeat(43), expiresAt: Date.now() + 60_000 } };
}

describe("where no provider has a directory", () => {
  it("the address is like any that does not exist", async () => {
    await setUpDocument({});
    // Provider partner has one; without it nobody does.
    const edge = isolate({});
    expect((await edge(LAUNCHER, "/.postern/scim/v2/Users", { headers: { accept: "application/json" } })).status).toBe(401);
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    expect((await edge("wiki.access.example.com", "/.postern/scim/v2/Users", { headers: { authorization: CORP } })).status).toBe(404);
  });
});
