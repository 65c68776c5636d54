import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AUDIT_BACKLOG_COUNT, AUDIT_BATCH_COUNT, AUDIT_EARLY_COUNT, AUDIT_FLUSH_MS, AUDIT_HELD_MS, AuditWriter, recordNow } from "../../../durable-objects/audit/record.ts";
import { PUSH_ATTEMPT_MS } from "../../../durable-objects/lease-terms.ts";
import type { AuditEvent, AuditRpc } from "../../../durable-objects/audit/rpc.ts";
import { T0 } from "../samples.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: T0 });
});
afterEach(() => {
  vi.useRealTimers();
});

const event = (n: number): AuditEvent => ({ id: `r_${n}`, at: T0, kind: "decision", data: { n } });

/** A shard that notes what it is told, and fails as often as it is asked to. */
class Shard {
  readonly calls: string[] = [];
  readonly ids: string[] = [];
  failures = 0;
  lostAnswers = 0;
  hold: Promise<void> | undefined;
  holdClose: Promise<void> | undefined;

  readonly rpc: AuditRpc = {
    append: async (_writer, first, events) => {
      if (events.length === 0) {
        this.calls.push(`register ${first}`);
        return { seq: 0 };
      }
      this.calls.push(`append ${first}+${events.length}`);
      await this.hold;
      if (this.failures-- > 0) throw new Error("down");
      for (const [i, one] of events.entries()) if (first + i > this.ids.length) this.ids.push(one.id);
      if (this.lostAnswers-- > 0) throw new Error("the answer was lost");
      return { seq: this.ids.length };
    },
    close: async (_writer, last) => {
      this.calls.push(`close ${last}`);
      await this.holdClose;
    },
    find: async () => [],
    since: async () => [],
    verify: async () => ({ records: 0, broken: [], gaps: [], head: "" }),
  };
}

function writing(): { shard: Shard; writer: AuditWriter; kept: Promise<unknown>[] } {
  const shard = new Shard();
  const kept: Promise<unknown>[] = [];
  return { shard, kept, writer: new AuditWriter(() => shard.rpc, "w", (work) => void kept.push(work)) };
}

describe("a batch (promise 8, M20)", () => {
  it("leaves within 2 s, after its writer registered, and the writer closes with its last number", async () => {
    const { shard, writer } = writing();
    writer.add(event(1));
    writer.add(event(2));
    expect(shard.calls).toEqual(["register 1"]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(shard.calls).toEqual(["register 1", "append 1+2", "close 2"]);
    expect(writer.pending).toBe(0);
  });

  it("registers again when there is more to come", async () => {
    const { shard, writer } = writing();
    writer.add(event(1));
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS);
    writer.add(event(2));
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS);
    expect(shard.calls.slice(3)).toEqual(["register 2", "append 2+1", "close 2"]);
  });

  it("leaves at once when it is full; what came meanwhile follows without a gap", async () => {
    const { shard, writer } = writing();
    for (let n = 1; n <= AUDIT_EARLY_COUNT + AUDIT_BATCH_COUNT + 5; n++) writer.add(event(n));
    await vi.advanceTimersByTimeAsync(0);
    expect(shard.calls).toEqual(["register 1", `append 1+${AUDIT_EARLY_COUNT}`, `append ${AUDIT_EARLY_COUNT + 1}+${AUDIT_BATCH_COUNT}`]);
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS);
    expect(shard.calls.slice(3)).toEqual([`append ${AUDIT_EARLY_COUNT + AUDIT_BATCH_COUNT + 1}+5`, `close ${AUDIT_EARLY_COUNT + AUDIT_BATCH_COUNT + 5}`]);
    expect(shard.ids).toHaveLength(AUDIT_EARLY_COUNT + AUDIT_BATCH_COUNT + 5);
  });

  it("does not leave early while somebody waits for a change, but right behind its answer, and in any case in time", async () => {
    const { shard, writer } = writing();
    const count = AUDIT_EARLY_COUNT + 10;
    const release = [writer.hold(), writer.hold()];
    for (let n = 1; n <= count; n++) writer.add(event(n));
    release[0]?.();
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS / 2);
    expect(shard.calls).toEqual(["register 1"]);
    release[1]?.();
    await vi.advanceTimersByTimeAsync(AUDIT_HELD_MS - 1);
    expect(shard.calls).toEqual(["register 1"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(shard.calls).toEqual(["register 1", `append 1+${count}`]);
    const again = writer.hold();
    for (let n = 1; n <= count; n++) writer.add(event(count + n));
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS);
    expect(shard.calls).toContain(`append ${count + 1}+${count}`);
    again();
  });

  it("is held up by no number of changes, one after the other", async () => {
    const { shard, writer } = writing();
    for (let n = 1; n <= AUDIT_EARLY_COUNT; n++) {
      const release = writer.hold();
      writer.add({ ...event(n), at: Date.now() });
      release();
    }
    for (let spent = 0; spent < AUDIT_FLUSH_MS; spent += AUDIT_HELD_MS / 2) {
      writer.hold()();
      await vi.advanceTimersByTimeAsync(AUDIT_HELD_MS / 2);
    }
    expect(shard.calls).toContain(`append 1+${AUDIT_EARLY_COUNT}`);
  });

  it("is not followed by one for each of the few that came while it was stored, and none of them waits for more than 2 s", async () => {
    const { shard, writer } = writing();
    const gate = Promise.withResolvers<void>();
    shard.hold = gate.promise;
    for (let n = 1; n <= AUDIT_EARLY_COUNT; n++) writer.add(event(n));
    await vi.advanceTimersByTimeAsync(500);
    writer.add({ ...event(AUDIT_EARLY_COUNT + 1), at: T0 + 500 });
    gate.resolve();
    await vi.advanceTimersByTimeAsync(100);
    writer.add({ ...event(AUDIT_EARLY_COUNT + 2), at: T0 + 600 });
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS - 101);
    expect(shard.calls).toEqual(["register 1", `append 1+${AUDIT_EARLY_COUNT}`]);
    await vi.advanceTimersByTimeAsync(1);
    expect(shard.calls.slice(-2)).toEqual([`append ${AUDIT_EARLY_COUNT + 1}+2`, `close ${AUDIT_EARLY_COUNT + 2}`]);
  });

  it("that was full keeps its writer open for those that follow, and closes it once none did", async () => {
    const { shard, writer } = writing();
    for (let n = 1; n <= AUDIT_EARLY_COUNT; n++) writer.add(event(n));
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS - 1);
    for (let n = 1; n <= AUDIT_EARLY_COUNT; n++) writer.add(event(AUDIT_EARLY_COUNT + n));
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS - 1);
    const open = ["register 1", `append 1+${AUDIT_EARLY_COUNT}`, `append ${AUDIT_EARLY_COUNT + 1}+${AUDIT_EARLY_COUNT}`];
    expect(shard.calls).toEqual(open);
    await vi.advanceTimersByTimeAsync(1);
    expect(shard.calls).toEqual([...open, `close ${2 * AUDIT_EARLY_COUNT}`]);
  });

  it("keeps its object awake until it is stored", async () => {
    const { writer, kept } = writing();
    writer.add(event(1));
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS);
    expect(kept.length).toBeGreaterThanOrEqual(2);
    await expect(Promise.all(kept)).resolves.toBeDefined();
  });

  it.each([
    ["was not stored", { failures: 2 }],
    ["was stored and its answer lost", { lostAnswers: 2 }],
  ])("that %s is sent again under the same numbers", async (_title, fault) => {
    const { shard, writer } = writing();
    Object.assign(shard, fault);
    writer.add(event(1));
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS);
    writer.add(event(2));
    await vi.advanceTimersByTimeAsync(3 * AUDIT_FLUSH_MS);
    const sent = shard.calls.filter((call) => call.startsWith("append"));
    expect(sent).toEqual(["append 1+1", "append 1+1", "append 1+2"]);
    expect(shard.ids).toEqual(["r_1", "r_2"]);
    expect(shard.calls.at(-1)).toBe("close 2");
  });

  it("that is never answered is sent again, and so is what comes after it when the writer's close is never answered", async () => {
    const { shard, writer } = writing();
    shard.hold = new Promise(() => undefined);
    writer.add(event(1));
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS);
    shard.hold = undefined;
    shard.holdClose = new Promise(() => undefined);
    await vi.advanceTimersByTimeAsync(PUSH_ATTEMPT_MS + AUDIT_FLUSH_MS);
    expect(shard.ids).toEqual(["r_1"]);
    writer.add(event(2));
    await vi.advanceTimersByTimeAsync(PUSH_ATTEMPT_MS + AUDIT_FLUSH_MS);
    expect(shard.ids).toEqual(["r_1", "r_2"]);
  });

  it("an event that comes while a batch is on its way waits for the next", async () => {
    const { shard, writer } = writing();
    const gate = Promise.withResolvers<void>();
    shard.hold = gate.promise;
    writer.add(event(1));
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS);
    writer.add(event(2));
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS);
    expect(shard.calls).toEqual(["register 1", "append 1+1"]);
    gate.resolve();
    await vi.advanceTimersByTimeAsync(AUDIT_FLUSH_MS);
    expect(shard.calls.slice(2)).toEqual(["append 2+1", "close 2"]);
  });
});

describe("a record that cannot keep up", () => {
  it("says so before it grows without bound, and recovers (promise 1)", async () => {
    const { shard, writer } = writing();
    shard.failures = Number.POSITIVE_INFINITY;
    for (let n = 1; n < AUDIT_BACKLOG_COUNT; n++) writer.add(event(n));
    expect(writer.overloaded).toBe(false);
    writer.add(event(AUDIT_BACKLOG_COUNT));
    expect(writer.overloaded).toBe(true);
    shard.failures = 0;
    await vi.advanceTimersByTimeAsync(2 * AUDIT_FLUSH_MS);
    expect(writer.overloaded).toBe(false);
    expect(shard.ids).toHaveLength(AUDIT_BACKLOG_COUNT);
  });
});

describe("what is acknowledged is stored first", () => {
  const env = (append: AuditRpc["append"], names: string[]): Parameters<typeof recordNow>[0] =>
    ({ AUDIT: { getByName: (name: string) => (names.push(name), { append }) } }) as unknown as Parameters<typeof recordNow>[0];

  it("a shard that cannot store throws to whoever would have acknowledged", async () => {
    const down = async (): Promise<never> => Promise.reject(new Error("down"));
    await expect(recordNow(env(down, []), "key", event(1))).rejects.toThrow("down");
    const silent = expect(recordNow(env(() => new Promise(() => undefined), []), "key", event(1))).rejects.toThrow("does not answer");
    await vi.advanceTimersByTimeAsync(PUSH_ATTEMPT_MS);
    await silent;
  });

  it("control's records have a shard of their own; the edge's spread, one key always to the same", async () => {
    const names: string[] = [];
    const append = async (): Promise<{ seq: number }> => ({ seq: 1 });
    await recordNow(env(append, names), "control", event(1));
    for (const key of ["a", "a", "b", "c", "d", "e", "f"]) await recordNow(env(append, names), key, event(1));
    expect(names[0]).toBe("control");
    expect(names[1]).toBe(names[2]);
    expect(new Set(names.slice(1)).size).toBeGreaterThan(1);
    expect(names.slice(1).every((name) => /^edge\/[0-9]$/.test(name))).toBe(true);
  });
});
