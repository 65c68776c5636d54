import { describe, expect, it } from "vitest";
import * as directory from "../../../durable-objects/control/directory.ts";
import { notePerson } from "../../../durable-objects/control/registry.ts";
import { CONTROL_MIGRATIONS } from "../../../durable-objects/control/schema.ts";
import { Database } from "../../../durable-objects/sqlite.ts";
import type { ScimChange, ScimKind } from "../../../identity/scim-change.ts";
import { at } from "../../../core/time.ts";
import { ObjectStorage } from "../object-storage.ts";
import { T0 } from "../samples.ts";

const SUB: directory.DirectoryOf = { id: "corp", issuer: "https://idp.example.com", match: "sub" };
const EMAIL: directory.DirectoryOf = { ...SUB, match: "email" };
const OTHER: directory.DirectoryOf = { ...SUB, id: "partner", issuer: "https://other.example.com" };
const fresh = (): Database => new Database(new ObjectStorage() as never, CONTROL_MIGRATIONS);

function ask(db: Database, request: directory.DirectoryRequest, of = SUB): { entries: readonly { id: string }[]; total: number } {
  const answer = directory.answer(db, of, request);
  if (!answer.ok) throw new Error(`${answer.error.status} ${answer.error.scimType ?? ""}`.trim());
  return answer.value;
}
function create(db: Database, kind: ScimKind, change: ScimChange, of = SUB): string {
  return ask(db, { do: "create", kind, change }, of).entries[0]?.id ?? "";
}
const user = (db: Database, name: string, more: ScimChange = {}, of = SUB): string => create(db, "Users", { name, externalId: `x-${name}`, email: `${name}@example.com`, ...more }, of);
const group = (db: Database, name: string, ids: readonly string[] = [], of = SUB): string => create(db, "Groups", { name, members: [{ add: true, ids }] }, of);
const change = (db: Database, kind: ScimKind, id: string, asked: ScimChange, of = SUB): unknown => ask(db, { do: "change", kind, id, change: asked }, of).entries[0];
const stands = (db: Database, name: string, of = SUB, email: string | undefined = `${name}@example.com`): directory.Standing => directory.standing(db, of, { id: `u_${name}`, sub: `x-${name}`, ...(email === undefined ? {} : { email }) }, at(T0));
const open = (db: Database, of = SUB): string[] => directory.unsettled(db, of.id).map((row) => row.id).sort();
function settle(db: Database): void {
  for (const row of directory.unsettled(db, SUB.id)) directory.settle(db, row);
}

describe("entries", () => {
  it("are found by each attribute, and by nobody else's directory", () => {
    const db = fresh();
    const id = user(db, "Ann", { display: "Ann Example" });
    user(db, "bob");
    for (const filter of [{ by: "id", value: id }, { by: "name", value: "aNN" }, { by: "externalId", value: "x-Ann" }, { by: "display", value: "Ann Example" }] as const) {
      const request = { do: "list", kind: "Users", filter, start: 1, count: 10, members: true } as const;
      expect(ask(db, request)).toMatchObject({ total: 1, entries: [{ id, name: "Ann" }] });
      expect(ask(db, request, OTHER).total).toBe(0);
    }
    expect(() => ask(db, { do: "get", kind: "Users", id, members: true }, OTHER)).toThrow("404");
    expect(() => change(db, "Users", id, { active: false }, OTHER)).toThrow("404");
    expect(() => ask(db, { do: "get", kind: "Groups", id, members: true })).toThrow("404");
  });

  it("come in pages, in the order in which they were made", () => {
    const db = fresh();
    const ids = Array.from({ length: 7 }, (_, i) => user(db, `u${i}`));
    const page = (start: number, count: number): unknown => ask(db, { do: "list", kind: "Users", start, count, members: true });
    expect(page(3, 2)).toMatchObject({ total: 7, entries: [{ id: ids[2] }, { id: ids[3] }] });
    expect(page(8, 2)).toMatchObject({ total: 7, entries: [] });
    expect(page(1, 0)).toMatchObject({ total: 7, entries: [] });
  });

  it("have names and externalIds of their own, whatever the case of a name (row 96)", () => {
    const db = fresh();
    const ann = user(db, "ann");
    const bob = user(db, "bob");
    expect(() => user(db, "ANN", { externalId: "other" })).toThrow("409 uniqueness");
    expect(() => user(db, "eve", { externalId: "x-ann" })).toThrow("409 uniqueness");
    expect(() => change(db, "Users", bob, { name: "Ann" })).toThrow("409 uniqueness");
    expect(change(db, "Users", ann, { name: "ANN" })).toMatchObject({ name: "ANN" });
    group(db, "ann");
    expect(() => group(db, "Ann")).toThrow("409 uniqueness");
    expect(user(db, "ann", {}, OTHER)).not.toBe(ann);
    expect(ask(db, { do: "list", kind: "Users", start: 1, count: 9, members: true }).total).toBe(2);
  });

  it("have what tells who they are, and it never changes under them", () => {
    const db = fresh();
    expect(() => user(db, "ann", { externalId: null })).toThrow("400 invalidValue");
    expect(() => create(db, "Users", { externalId: "x" })).toThrow("400 invalidValue");
    expect(() => user(db, "ann", { email: null }, EMAIL)).toThrow("400 invalidValue");
    expect(() => create(db, "Groups", {})).toThrow("400 invalidValue");
    const ann = user(db, "ann");
    expect(() => change(db, "Users", ann, { externalId: "x-bob" })).toThrow("400 mutability");
    expect(() => change(db, "Users", ann, { externalId: null })).toThrow("400 invalidValue");
    expect(change(db, "Users", ann, { externalId: "x-ann" })).toMatchObject({ externalId: "x-ann" });
    expect(change(db, "Users", ann, { externalId: "other" }, EMAIL)).toMatchObject({ externalId: "other" });
  });

  it("an externalId is never one of our ids (row 96)", () => {
    const db = fresh();
    const ann = user(db, "ann");
    const bob = user(db, "bob", { externalId: ann });
    expect(bob).not.toBe(ann);
    expect(ask(db, { do: "get", kind: "Users", id: ann, members: true }).entries[0]).toMatchObject({ name: "ann" });
  });

  it("a request that fails changes nothing", () => {
    const db = fresh();
    const [ann, staff] = [user(db, "ann"), group(db, "staff")];
    settle(db);
    expect(() => change(db, "Groups", staff, { name: "crew", members: [{ add: true, ids: [ann, "nobody"] }] })).toThrow("400 invalidValue");
    expect(ask(db, { do: "get", kind: "Groups", id: staff, members: true }).entries).toEqual([{ id: staff, name: "staff", members: [] }]);
    expect(open(db)).toEqual([]);
  });

  it("members are users of the same directory", () => {
    const db = fresh();
    const theirs = user(db, "eve", {}, OTHER);
    const staff = group(db, "staff");
    for (const id of [theirs, staff, "nobody", ""]) expect(() => change(db, "Groups", staff, { members: [{ add: true, ids: [id] }] }), id).toThrow("400 invalidValue");
  });
});

describe("whom a change concerns", () => {
  it("is every user whose standing or groups it may change, and nobody else", () => {
    const db = fresh();
    const [ann, bob, eve] = [user(db, "ann"), user(db, "bob"), user(db, "eve")];
    const concerned = (act: () => unknown): string[] => {
      settle(db);
      act();
      return open(db);
    };
    expect(open(db)).toEqual([ann, bob, eve].sort());
    let staff = "";
    expect(concerned(() => (staff = group(db, "staff", [ann, bob])))).toEqual([ann, bob].sort());
    expect(concerned(() => change(db, "Users", ann, { name: "anna", display: "A", family: "B" }))).toEqual([]);
    expect(concerned(() => change(db, "Users", ann, { active: true }))).toEqual([]);
    expect(concerned(() => change(db, "Users", ann, { active: false }))).toEqual([ann]);
    expect(concerned(() => change(db, "Users", ann, { active: false }))).toEqual([]);
    expect(concerned(() => change(db, "Users", ann, { active: true }))).toEqual([ann]);
    expect(concerned(() => change(db, "Groups", staff, { members: [{ add: true, ids: [bob, eve] }] }))).toEqual([eve]);
    expect(concerned(() => change(db, "Groups", staff, { members: [{ add: false, ids: "all" }, { add: true, ids: [ann, eve] }] }))).toEqual([bob]);
    expect(concerned(() => change(db, "Groups", staff, { members: [{ add: false, ids: [bob, "nobody"] }] }))).toEqual([]);
    expect(concerned(() => change(db, "Groups", staff, { name: "crew" }))).toEqual([ann, eve].sort());
    expect(concerned(() => ask(db, { do: "delete", kind: "Groups", id: staff }))).toEqual([ann, eve].sort());
    expect(concerned(() => ask(db, { do: "delete", kind: "Users", id: bob }))).toEqual([bob]);
  });

  it("a revision that came while an older one was told stays open", () => {
    const db = fresh();
    const ann = user(db, "ann");
    const [first] = directory.unsettled(db, SUB.id);
    change(db, "Users", ann, { active: false });
    if (first === undefined) throw new Error("no revision");
    directory.settle(db, first);
    expect(open(db)).toEqual([ann]);
    settle(db);
    directory.settle(db, first);
    expect(open(db)).toEqual([]);
  });
});

describe("what it says of who signs in", () => {
  it("by the provider's sub: groups, inactive, or nothing", () => {
    const db = fresh();
    const ann = user(db, "ann");
    group(db, "staff", [ann]);
    group(db, "Ops", [ann]);
    expect(stands(db, "ann")).toEqual({ groups: ["corp:Ops", "corp:staff"], at: T0 });
    expect(stands(db, "bob")).toBe("unknown");
    change(db, "Users", ann, { active: false });
    expect(stands(db, "ann")).toBe("inactive");
    expect(stands(db, "ann", OTHER)).toBe("unknown");
  });

  it("who never signed in before and is inactive is inactive (class H)", () => {
    const db = fresh();
    user(db, "ann", { active: false });
    expect(stands(db, "ann")).toBe("inactive");
  });

  it("who was deleted stays inactive, until the directory has them again", () => {
    const db = fresh();
    const ann = user(db, "ann");
    group(db, "staff", [ann]);
    ask(db, { do: "delete", kind: "Users", id: ann });
    expect(stands(db, "ann")).toBe("inactive");
    expect(() => ask(db, { do: "delete", kind: "Users", id: ann })).toThrow("404");
    user(db, "ann");
    expect(stands(db, "ann")).toEqual({ groups: [], at: T0 });
  });

  it("by a verified address; without one nobody is found (row 35)", () => {
    const db = fresh();
    const ann = user(db, "ann", {}, EMAIL);
    group(db, "staff", [ann], EMAIL);
    expect(directory.standing(db, EMAIL, { id: "u_1", sub: "anything", email: "ann@example.com" }, at(T0))).toEqual({ groups: ["corp:staff"], at: T0 });
    expect(directory.standing(db, EMAIL, { id: "u_2", sub: "x-ann" }, at(T0))).toBe("unknown");
  });

  it("by an address: stays theirs when it changes, and is not the next one's who gets it", () => {
    const db = fresh();
    const ann = user(db, "ann", {}, EMAIL);
    const first = { id: "u_1", sub: "1", email: "ann@example.com" };
    expect(directory.standing(db, EMAIL, first, at(T0))).toEqual({ groups: [], at: T0 });
    change(db, "Users", ann, { email: "anna@example.com", active: false }, EMAIL);
    expect(directory.standing(db, EMAIL, first, at(T0))).toBe("inactive");
    expect(directory.standing(db, EMAIL, { id: "u_2", sub: "2", email: "anna@example.com" }, at(T0))).toBe("unknown");
  });

  it("by an address: who left stays barred when somebody else gets it, and comes back as who they were", () => {
    const db = fresh();
    const [ann, anna] = [{ id: "u_1", sub: "1", email: "ann@example.com" }, { id: "u_2", sub: "2", email: "ann@example.com" }];
    const first = user(db, "ann", {}, EMAIL);
    directory.standing(db, EMAIL, ann, at(T0));
    ask(db, { do: "delete", kind: "Users", id: first }, EMAIL);
    expect(directory.standing(db, EMAIL, ann, at(T0))).toBe("inactive");
    const second = user(db, "anna", { email: "ann@example.com" }, EMAIL);
    expect(directory.standing(db, EMAIL, anna, at(T0))).toEqual({ groups: [], at: T0 });
    expect(directory.standing(db, EMAIL, ann, at(T0))).toBe("inactive");
    ask(db, { do: "delete", kind: "Users", id: second }, EMAIL);
    user(db, "ann", {}, EMAIL);
    expect(directory.standing(db, EMAIL, ann, at(T0))).toEqual({ groups: [], at: T0 });
  });

  it("by an address that two entries have: the worse counts, and no groups", () => {
    const db = fresh();
    user(db, "ann", { email: "a@example.com" }, EMAIL);
    const other = user(db, "anna", { email: "a@example.com" }, EMAIL);
    const who = { id: "u_1", sub: "1", email: "a@example.com" };
    expect(directory.standing(db, EMAIL, who, at(T0))).toBe("unknown");
    change(db, "Users", other, { active: false }, EMAIL);
    expect(directory.standing(db, EMAIL, who, at(T0))).toBe("inactive");
  });

  it("too many groups are none that is known", () => {
    const db = fresh();
    const ann = user(db, "ann");
    for (let i = 0; i < directory.MAX_GROUPS_COUNT; i++) group(db, `g${i}`, [ann]);
    expect(stands(db, "ann")).toMatchObject({ groups: { length: directory.MAX_GROUPS_COUNT } });
    group(db, "one more", [ann]);
    expect(stands(db, "ann")).toBe("unknown");
  });
});

describe("which of our people an entry is", () => {
  const person = (db: Database, id: string, sub: string, email?: string): void => notePerson(db, { id, issuer: SUB.issuer, sub, lastSignInAt: 1, ...(email === undefined ? {} : { email }) });
  const personOf = (db: Database, of = SUB): unknown => directory.unsettled(db, of.id).map((row) => directory.personOf(db, of, row));

  it("one who signed in before there was a directory, by sub or by verified address", () => {
    const db = fresh();
    person(db, "u_1", "x-ann", "ann@example.com");
    user(db, "ann");
    user(db, "bob");
    expect(personOf(db)).toEqual(["u_1", undefined]);
    expect(personOf(db, EMAIL)).toEqual(["u_1", undefined]);
    expect(personOf(db, { ...SUB, issuer: "https://other.example.com" })).toEqual([undefined, undefined]);
  });

  it("nobody, when two people have the address", () => {
    const db = fresh();
    person(db, "u_1", "1", "ann@example.com");
    person(db, "u_2", "2", "ann@example.com");
    user(db, "ann", {}, EMAIL);
    expect(personOf(db, EMAIL)).toEqual([undefined]);
  });
});

describe("what a person is told of a change", () => {
  const ann = { id: "u_ann", sub: "x-ann", email: "ann@example.com" };
  const shared = { email: "ann@example.com" };
  const told = (db: Database): unknown[] => directory.unsettled(db, EMAIL.id).map((row) => {
    const person = directory.personOf(db, EMAIL, row);
    return person === undefined ? undefined : [person, directory.standingAfter(db, EMAIL, row, person, at(T0))];
  });
  const setUp = (signIn: boolean): { db: Database; own: string; admin: string } => {
    const db = fresh();
    const own = user(db, "ann", {}, EMAIL);
    if (signIn) directory.standing(db, EMAIL, ann, at(T0));
    notePerson(db, { ...ann, issuer: EMAIL.issuer, lastSignInAt: 1 });
    const admin = user(db, "adm-ann", shared, EMAIL);
    settle(db);
    return { db, own, admin };
  };

  it("is never the groups of another entry with their address", () => {
    const { db, own, admin } = setUp(true);
    group(db, "staff", [own], EMAIL);
    settle(db);
    group(db, "domain-admins", [admin], EMAIL);
    expect(told(db)).toEqual([["u_ann", { groups: ["corp:staff"], at: T0 }]]);
  });

  it("is that their groups are unknown, while two entries could be theirs", () => {
    const { db, own, admin } = setUp(false);
    for (const one of [own, admin]) group(db, `of ${one}`, [one], EMAIL);
    expect(told(db)).toEqual([["u_ann", "unknown"], ["u_ann", "unknown"]]);
  });

  it("is an end, when one that could be theirs is inactive or gone", () => {
    const { db, own, admin } = setUp(true);
    change(db, "Users", admin, { active: false }, EMAIL);
    expect(told(db)).toEqual([["u_ann", "inactive"]]);
    settle(db);
    group(db, "staff", [own], EMAIL);
    expect(told(db)).toEqual([["u_ann", "inactive"]]);
  });

  it("is an end when they are deleted, whatever other entry has their address, until a new one is made", () => {
    const { db, own, admin } = setUp(true);
    group(db, "domain-admins", [admin], EMAIL);
    ask(db, { do: "delete", kind: "Users", id: own }, EMAIL);
    expect(told(db)).toEqual([["u_ann", "inactive"], ["u_ann", "inactive"]]);
    expect(directory.standing(db, EMAIL, ann, at(T0))).toBe("inactive");
    ask(db, { do: "delete", kind: "Users", id: admin }, EMAIL);
    user(db, "ann", {}, EMAIL);
    expect(directory.standing(db, EMAIL, ann, at(T0))).toEqual({ groups: [], at: T0 });
  });
});
