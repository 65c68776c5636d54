import { describe, expect, it, vi } from "vitest";
import { Audit } from "../../../durable-objects/audit/audit.ts";
import type { AuditEvent } from "../../../durable-objects/audit/rpc.ts";
import { ObjectStorage } from "../object-storage.ts";
import { T0 } from "../samples.ts";

vi.mock("cloudflare:workers", async () => import("../durable-object.ts"));

const event = (id: string): AuditEvent => ({ id, at: T0, kind: "decision", data: { id } });
function shard(): { audit: Audit; storage: ObjectStorage } {
  const storage = new ObjectStorage();
  return { storage, audit: Reflect.construct(Audit, [{ storage }, {}]) as Audit };
}

describe("a shard", () => {
  it("a batch that is sent again is stored once, and one that grew meanwhile only by what is new", async () => {
    const { audit } = shard();
    await audit.append("w", 1, [event("a"), event("b")]);
    expect(await audit.append("w", 1, [event("a"), event("b")])).toEqual({ seq: 2 });
    expect(await audit.append("w", 1, [event("a"), event("b"), event("c")])).toEqual({ seq: 3 });
    expect((await audit.since(0, 10)).map((one) => [one.id, one.n])).toEqual([["a", 1], ["b", 2], ["c", 3]]);
    await audit.close("w", 3);
    expect(await audit.verify()).toMatchObject({ records: 3, broken: [], gaps: [] });
  });

  it.each([1, 11, 12, 13, 24, 100])("a batch of %i is stored whole, in order and chained", async (count) => {
    const { audit } = shard();
    const ids = Array.from({ length: count }, (_, n) => `e${n}`);
    await audit.append("w", 1, ids.map((id) => ({ ...event(id), data: { z: 1, "ä\"": [id, { b: null, a: 1.5 }], absent: undefined } })));
    expect((await audit.since(0, 1_000)).map((one) => [one.id, one.seq, one.n, one.data])).toEqual(ids.map((id, n) => [id, n + 1, n + 1, { z: 1, "ä\"": [id, { b: null, a: 1.5 }] }]));
    await audit.close("w", count);
    expect(await audit.verify()).toMatchObject({ records: count, broken: [], gaps: [] });
  });

  it("a writer that is not closed counts as one that may have lost its last 2 s (M20)", async () => {
    const { audit } = shard();
    await audit.append("w", 1, [event("a")]);
    expect((await audit.verify()).gaps).toEqual([{ writer: "w", after: 1 }]);
    await audit.close("w", 1);
    expect((await audit.verify()).gaps).toEqual([]);
    await audit.append("w", 2, []);
    expect((await audit.verify()).gaps, "it announced more, and crashed").toEqual([{ writer: "w", after: 1 }]);
    await audit.append("w", 2, [event("b")]);
    expect((await audit.verify()).gaps, "it crashed before it closed").toEqual([{ writer: "w", after: 2 }]);
  });

  it("a writer that wrote more than is here stays open", async () => {
    const { audit } = shard();
    await audit.append("w", 1, [event("a")]);
    await audit.close("w", 3);
    await audit.close("never seen", 2);
    expect((await audit.verify()).gaps).toEqual([{ writer: "w", after: 1 }, { writer: "never seen", after: 0 }]);
  });

  it("shows that its end was cut off", async () => {
    const { audit, storage } = shard();
    await audit.append("w", 1, [event("a"), event("b"), event("c")]);
    await audit.close("w", 3);
    storage.sql.exec("DELETE FROM events WHERE n > 1");
    expect(await audit.verify()).toMatchObject({ broken: [], gaps: [{ writer: "w", after: 1 }] });
  });

  it.each([
    ["removed", "DELETE FROM events WHERE seq = 2", 3],
    ["altered", "UPDATE events SET data = '{}' WHERE seq = 2", 2],
    ["moved to the end", "UPDATE events SET seq = 9 WHERE seq = 1", 2],
  ])("names where a record was %s", async (_title, change, seq) => {
    const { audit, storage } = shard();
    await audit.append("w", 1, [event("a"), event("b"), event("c")]);
    storage.sql.exec(change);
    expect((await audit.verify()).broken[0]?.seq).toBe(seq);
  });

  it("verifies more than one page of records, and reads a bounded number at a time", async () => {
    const { audit } = shard();
    for (let from = 1; from <= 1_201; from += 300) {
      await audit.append("w", from, Array.from({ length: 300 }, (_, i) => event(`e${from + i}`)));
    }
    await audit.close("w", 1_500);
    expect(await audit.verify()).toMatchObject({ records: 1_500, broken: [], gaps: [] });
    expect(await audit.since(0, 1_000_000)).toHaveLength(1_000);
    expect(await audit.since(1_499, -5)).toHaveLength(1);
  });

  it("a store that fails throws to whoever would have acknowledged (class H)", async () => {
    const { audit, storage } = shard();
    await audit.append("w", 1, [event("a")]);
    storage.broken = new Error("disk");
    await expect(audit.append("w", 2, [event("b")])).rejects.toThrow("disk");
    storage.broken = undefined;
    expect(await audit.since(0, 10)).toHaveLength(1);
  });

  it("a read of a shard nobody wrote to stores nothing", async () => {
    const { audit, storage } = shard();
    expect(await audit.find("r_x")).toEqual([]);
    expect(await audit.verify()).toMatchObject({ records: 0, gaps: [] });
    expect(storage.sql.exec("SELECT name FROM sqlite_master").toArray()).toEqual([]);
  });
});
