import { afterEach, describe, expect, it, vi } from "vitest";
import type { UserId } from "../../../core/ids.ts";
import { notePerson } from "../../../durable-objects/control/registry.ts";
import { Provisioning } from "../../../durable-objects/control/provisioning.ts";
import type { Signal } from "../../../durable-objects/control/rpc.ts";
import { CONTROL_MIGRATIONS } from "../../../durable-objects/control/schema.ts";
import { Database } from "../../../durable-objects/sqlite.ts";
import type { ScimChange } from "../../../identity/scim-change.ts";
import type { PolicyDocument } from "../../../policy/document.ts";
import { ObjectStorage } from "../object-storage.ts";
import { T0 } from "../samples.ts";

const ISSUER = "https://idp.example.com";
const DOCUMENT = { providers: [{ id: "corp", issuer: ISSUER, scim: { token: { secret: "S" }, match: "sub" } }] } as unknown as PolicyDocument;
const ANN = "u_ann" as UserId;

function stage(signal: (one: Signal) => Promise<unknown>): { provisioning: Provisioning; signals: Signal[]; woken: { count: number }; user: (name: string) => Promise<string>; change: (kind: "Users" | "Groups", id: string, asked: ScimChange) => Promise<unknown> } {
  vi.useFakeTimers({ now: T0, toFake: ["Date"] });
  const storage = new ObjectStorage();
  const db = new Database(storage as never, CONTROL_MIGRATIONS);
  notePerson(db, { id: ANN, issuer: ISSUER, sub: "ann", lastSignInAt: 1 });
  const signals: Signal[] = [];
  const woken = { count: 0 };
  const provisioning = new Provisioning(db, {
    document: () => DOCUMENT,
    signal: (one) => {
      signals.push(one);
      return signal(one);
    },
    record: () => Promise.resolve(),
    soon: () => {
      woken.count++;
    },
    ctx: { waitUntil: () => undefined },
  });
  const entry = async (request: Parameters<Provisioning["request"]>[1]): Promise<string> => {
    const answer = await provisioning.request("corp", request);
    if (!answer.ok) throw new Error(answer.error.detail);
    return answer.value.entries[0]?.id ?? "";
  };
  return { provisioning, signals, woken, user: (name) => entry({ do: "create", kind: "Users", change: { name, externalId: name } }), change: (kind, id, asked) => entry({ do: "change", kind, id, change: asked }) };
}

afterEach(() => vi.useRealTimers());

describe("what a directory tells", () => {
  it("is one signal for each change of each person who ever signed in, later than the one before, also within a millisecond", async () => {
    const { provisioning, signals, user, change } = stage(() => Promise.resolve());
    const [ann] = [await user("ann"), await user("bob")];
    const made = await provisioning.request("corp", { do: "create", kind: "Groups", change: { name: "staff", members: [{ add: true, ids: [ann] }] } });
    const staff = made.ok ? (made.value.entries[0]?.id ?? "") : "";
    await change("Groups", staff, { members: [{ add: false, ids: [ann] }] });
    await change("Users", ann, { active: false });
    const groups = (value: string[], observedAt: number): object => ({ kind: "facts", facts: { groups: { value, source: "corp", observedAt } }, at: observedAt });
    expect(signals.map(({ effect }) => effect)).toEqual([groups([], T0), groups(["corp:staff"], T0 + 1), groups([], T0 + 2), { kind: "end" }]);
    expect(new Set(signals.map(({ id }) => id)).size).toBe(4);
    expect(new Set(signals.map(({ target }) => target.id))).toEqual(new Set([ANN]));
  });

  it("is told again under the same id until it took effect, and wakes the object for it", async () => {
    let isDown = true;
    const { provisioning, signals, woken, user, change } = stage(() => (isDown ? Promise.reject(new Error("down")) : Promise.resolve()));
    await expect(user("ann")).rejects.toThrow("down");
    expect(woken.count).toBe(1);
    await provisioning.resume();
    isDown = false;
    await provisioning.resume();
    await provisioning.resume();
    expect(signals).toHaveLength(3);
    expect(new Set(signals.map(({ id }) => id)).size).toBe(1);
    // What is settled is not told again by what concerns somebody else.
    const before = signals.length;
    await user("bob");
    const bobs = await provisioning.request("corp", { do: "list", kind: "Users", filter: { by: "name", value: "bob" }, start: 1, count: 1, members: true });
    await change("Users", bobs.ok ? (bobs.value.entries[0]?.id ?? "") : "", { active: false });
    expect(signals).toHaveLength(before);
  });

  it("one person who cannot be told keeps nobody else from being told", async () => {
    const { provisioning, signals, user, change } = stage(({ target }) => (target.id === ANN ? Promise.reject(new Error("down")) : Promise.resolve()));
    await expect(user("ann")).rejects.toThrow("down");
    const bob = await user("bob");
    expect(signals.map(({ target }) => target.id)).toEqual([ANN]);
    expect(provisioning.standing({ id: "u_bob", issuer: ISSUER, sub: "bob" })).toMatchObject({ groups: [] });
    await change("Users", bob, { active: false });
    await provisioning.resume();
    expect(signals.map(({ target }) => target.id)).toEqual([ANN, "u_bob", ANN]);
  });

  it("a request waits for all whom it concerns, also when it is said again", async () => {
    let isDown = false;
    const { provisioning, signals, user, change } = stage(() => (isDown ? Promise.reject(new Error("down")) : Promise.resolve()));
    const [ann, bob] = [await user("ann"), await user("bob")];
    const made = await provisioning.request("corp", { do: "create", kind: "Groups", change: { name: "staff", members: [{ add: true, ids: [ann] }] } });
    const staff = made.ok ? (made.value.entries[0]?.id ?? "") : "";
    isDown = true;
    const emptied = (): Promise<unknown> => change("Groups", staff, { members: [{ add: false, ids: "all" }] });
    for (let i = 0; i < 2; i++) await expect(emptied()).rejects.toThrow("down");
    // What concerns somebody else alone is done.
    await change("Groups", staff, { members: [{ add: true, ids: [bob] }] });
    isDown = false;
    await change("Groups", staff, { members: [{ add: false, ids: [ann] }] });
    expect(signals.at(-1)).toMatchObject({ target: { id: ANN }, effect: { facts: { groups: { value: [] } } } });
  });

  it("a provider without a directory has no standing to give, and none to write", async () => {
    const { provisioning } = stage(() => Promise.resolve());
    expect(provisioning.standing({ id: "u_1", issuer: "https://other.example.com", sub: "1" })).toBeUndefined();
    await expect(provisioning.request("other", { do: "list", kind: "Users", start: 1, count: 1, members: true })).rejects.toThrow("no such directory");
  });
});
