import { abortAllDurableObjects, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it } from "vitest";
import type { AuditEvent } from "../../durable-objects/audit/rpc.ts";
import { objects, stubs, wipe } from "./deployment.ts";

// A stub does not outlive a reset.
const shard = (): ReturnType<typeof objects.AUDIT.getByName> => objects.AUDIT.getByName("edge/0");
const stub = (): DurableObjectStub => stubs.AUDIT.getByName("edge/0");
const event = (id: string): AuditEvent => ({ id, at: Date.now(), kind: "decision", data: { id } });

afterEach(() => wipe());

describe("a shard of the record", () => {
  it("goes on with its chain after a sleep and after a crash; what it acknowledged is there (F10)", async () => {
    await shard().append("w", 1, [event("a"), event("b")]);
    await evictDurableObject(stub());
    await shard().append("w", 3, [event("c")]);
    await abortAllDurableObjects();
    const again = objects.AUDIT.getByName("edge/0");
    await again.append("direct", 0, [event("d")]);
    await again.close("w", 3);
    expect(await again.verify()).toMatchObject({ records: 4, broken: [], gaps: [] });
    expect((await again.find("c"))[0]).toMatchObject({ seq: 3, writer: "w", n: 3 });
  });

  it("stores a batch that is sent fifty times at once one time", async () => {
    await Promise.all(Array.from({ length: 50 }, () => shard().append("w", 1, [event("a"), event("b")])));
    await shard().close("w", 2);
    expect(await shard().verify()).toMatchObject({ records: 2, broken: [], gaps: [] });
  });

  it("stores an event that is sent again one time, and one that says something else beside it", async () => {
    const one = event("rcpt_1");
    for (const again of [one, one, { ...one, data: { id: "other" } }, { ...one, at: one.at + 1 }, { ...one, kind: "signal" as const }]) await shard().append("direct", 0, [again]);
    expect((await shard().find(one.id)).map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    expect(await shard().verify()).toMatchObject({ records: 4, broken: [], gaps: [] });
  });

  it.each([
    ["deleted", "DELETE FROM events WHERE seq = 2", { broken: [{ seq: 3 }] }],
    ["altered", "UPDATE events SET data = '{\"id\":\"x\"}' WHERE seq = 2", { broken: [{ seq: 2 }] }],
    ["cut off at the end", "DELETE FROM events WHERE seq = 3", { broken: [], gaps: [{ writer: "w", after: 2 }] }],
  ])("shows that a row was %s", async (_title, change, verdict) => {
    await shard().append("w", 1, [event("a"), event("b"), event("c")]);
    await shard().close("w", 3);
    await runInDurableObject(stub(), async (_audit, state) => void state.storage.sql.exec(change));
    await evictDurableObject(stub());
    expect(await shard().verify()).toMatchObject(verdict);
  });

  it("that cannot store the whole batch stores none of it", async () => {
    await shard().append("w", 1, [event("a")]);
    const big = { ...event("b"), data: { at: 1n as unknown as number } };
    await expect(shard().append("w", 2, [event("ok"), big]).then(() => "stored", () => "refused")).resolves.toBe("refused");
    expect((await shard().since(0, 10)).map((one) => one.id)).toEqual(["a"]);
  });
});
