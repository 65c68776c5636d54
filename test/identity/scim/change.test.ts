import { describe, expect, it } from "vitest";
import { readFilter, readPatch, readResource, reading, type ScimKind } from "../../../identity/scim-change.ts";
import { DIALECTS, dialect, kindOf } from "./dialects.ts";

const patch = (kind: ScimKind, ...operations: unknown[]): unknown => {
  const read = reading(() => readPatch(kind, { Operations: operations }));
  return read.ok ? read.value : read.error.scimType;
};
const resource = (kind: ScimKind, body: unknown): unknown => {
  const read = reading(() => readResource(kind, body));
  return read.ok ? read.value : read.error.scimType;
};
const filter = (text: string, kind: ScimKind = "Users"): unknown => {
  const read = reading(() => readFilter(kind, text));
  return read.ok ? read.value : read.error.scimType;
};

describe.each(DIALECTS)("as %s writes it", (name) => {
  it.each(dialect(name).map((request) => [request.what, request] as const))("%s", (_, request) => {
    const kind = kindOf(request);
    const { method, path, body, asks } = request;
    if (method === "GET") expect(readFilter(kind, new URL(`http://x${path}`).searchParams.get("filter") ?? "")).toEqual(asks.filter);
    else expect(method === "PATCH" ? readPatch(kind, body) : readResource(kind, body)).toEqual(asks.change);
  });
});

describe("a patch that cannot be read is refused whole", () => {
  it.each<[string, unknown, string]>([
    ["an operation of another name", { op: "move", path: "userName", value: "x" }, "invalidSyntax"],
    ["an operation without a name", { path: "userName", value: "x" }, "invalidSyntax"],
    ["no object", "replace", "invalidSyntax"],
    ["a value that is no object, without a path", { op: "replace", value: "x" }, "invalidSyntax"],
    ["a removal without a path", { op: "remove", value: { active: true } }, "invalidPath"],
    ["a path that is no text", { op: "replace", path: ["active"], value: true }, "invalidPath"],
    ["a path that is none", { op: "replace", path: "emails[type eq", value: "x" }, "invalidPath"],
    ["a path that is too long", { op: "replace", path: "a".repeat(257), value: "x" }, "invalidPath"],
    ["active as a number", { op: "replace", path: "active", value: 0 }, "invalidValue"],
    ["active as a word", { op: "replace", path: "active", value: "yes" }, "invalidValue"],
    ["active taken away", { op: "remove", path: "active" }, "invalidValue"],
    ["a user name taken away", { op: "remove", path: "userName" }, "invalidValue"],
    ["an empty user name", { op: "replace", path: "userName", value: "" }, "invalidValue"],
    ["a user name that is a list", { op: "replace", path: "userName", value: ["x"] }, "invalidValue"],
    ["a user name of 256 characters", { op: "replace", path: "userName", value: "x".repeat(256) }, "invalidValue"],
    ["an externalId with a line break", { op: "replace", path: "externalId", value: "a\nb" }, "invalidValue"],
  ])("%s", (_, operation, expected) => {
    expect(patch("Users", { op: "replace", path: "active", value: false }, operation)).toBe(expected);
  });

  it.each<[string, unknown, string]>([
    ["a member by another attribute", { op: "remove", path: 'members[display eq "x"]' }, "invalidPath"],
    ["two members in one filter", { op: "remove", path: 'members[value eq "a" or value eq "b"]' }, "invalidPath"],
    ["a member changed", { op: "replace", path: 'members[value eq "a"]', value: "b" }, "invalidPath"],
    ["a member that is no id", { op: "add", path: "members", value: [{ value: 7 }] }, "invalidValue"],
    ["5,001 members", { op: "add", path: "members", value: Array.from({ length: 5_001 }, (_one, i) => ({ value: `m${i}` })) }, "invalidValue"],
  ])("%s", (_, operation, expected) => expect(patch("Groups", operation)).toBe(expected));

  it("1,001 operations, or none that are a list", () => {
    expect(patch("Users", ...Array.from({ length: 1_001 }, () => ({ op: "replace", path: "active", value: false })))).toBe("invalidSyntax");
    expect(reading(() => readPatch("Users", { Operations: { op: "replace" } }))).toMatchObject({ ok: false });
    expect(reading(() => readPatch("Users", undefined))).toMatchObject({ ok: false });
  });
});

describe("what we have no use for is passed over, and reaches nothing (row 96)", () => {
  it.each(["roles", "__proto__", "constructor", "toString", "id", "meta.location", "groups", "members", "password", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", 'emails[type eq "home"].value', "addresses[type eq \"work\"].country"])("%s", (path) => {
    expect(patch("Users", { op: path.startsWith("_") ? "add" : "replace", path, value: "admin" })).toEqual(path.startsWith("_") ? "invalidPath" : {});
    expect(resource("Users", JSON.parse(`{"${path.replaceAll('"', '\\"')}":{"active":true},"userName":"x"}`))).toEqual({ name: "x" });
    expect(({} as Record<string, unknown>)["active"]).toBeUndefined();
  });

  it("of several addresses the primary one counts, else the one for work, else the first", () => {
    const [home, work, main] = [{ type: "home", value: "H@x.test" }, { type: "work", value: "w@x.test" }, { value: "m@x.test", primary: true }];
    expect(resource("Users", { emails: [home, work, main] })).toEqual({ email: "m@x.test" });
    expect(resource("Users", { emails: [home, work] })).toEqual({ email: "w@x.test" });
    expect(resource("Users", { emails: [home] })).toEqual({ email: "h@x.test" });
    expect(resource("Users", { emails: [] })).toEqual({ email: null });
  });

  it.each([[], "x", 7, null, undefined])("a body that is no object is refused: %j", (body) => expect(resource("Users", body)).toBe("invalidSyntax"));
});

describe("a filter", () => {
  it.each<[string, unknown]>([
    ['userName eq "ann@example.com"', { by: "name", value: "ann@example.com" }],
    ['USERNAME EQ "ann"', { by: "name", value: "ann" }],
    ['id eq "x"', { by: "id", value: "x" }],
    ['displayName eq "Ann \\"A\\" B"', { by: "display", value: 'Ann "A" B' }],
    ["userName eq \"' OR 1=1 --\"", { by: "name", value: "' OR 1=1 --" }],
    ['userName eq "a" or userName eq "b"', "invalidFilter"],
    ['userName sw "a"', "invalidFilter"],
    ["userName pr", "invalidFilter"],
    ['active eq "true"', "invalidFilter"],
    ['name.givenName eq "a"', "invalidFilter"],
    ['password eq "a"', "invalidFilter"],
    ['userName eq "a', "invalidFilter"],
    ['userName eq "a\\"', "invalidFilter"],
    ["", "invalidFilter"],
    [`userName eq "${"a".repeat(5_000)}"`, "invalidFilter"],
  ])("%s", (text, expected) => expect(filter(text)).toEqual(expected));

  it("of groups: displayName is their name", () => {
    expect(filter('displayName eq "Staff"', "Groups")).toEqual({ by: "name", value: "Staff" });
    expect(filter('userName eq "Staff"', "Groups")).toBe("invalidFilter");
  });
});
