/** What lanes tell a session of their quiet streams: each word replaces the one before, and a new decision all of them. */
import { describe, expect, it } from "vitest";
import type { AppId, SiteId } from "../../../core/ids.ts";
import type { Watched } from "../../../durable-objects/session/rpc.ts";
import { frozenOf, heard, waitingOf, watch } from "../../../durable-objects/session/watched.ts";
import { T0 } from "../samples.ts";

const row = (app: string, more: Partial<Watched> = {}): Watched => ({ site: "berlin" as SiteId, lane: 0, app: app as AppId, deadlines: [{ at: T0 }], ...more });
const after = (...said: readonly Watched[]): readonly Watched[] => said.reduce<readonly Watched[]>(watch, []);

describe("what a lane says of an app", () => {
  it("replaces what it said before, of what passes and of what is frozen apart", () => {
    const [open, frozen, later] = [row("wiki"), row("wiki", { frozenAt: T0 }), row("wiki", { deadlines: [{ at: T0 + 1 }] })];
    expect(after(open, frozen, later)).toEqual([frozen, later]);
    expect(after(row("crm"), row("wiki", { lane: 1 }), open)).toHaveLength(3);
    expect(after(open, frozen, row("wiki", { frozenAt: 0, deadlines: [] }))).toEqual([open]);
  });

  it("is handed back to the lane that froze it, and waits for whatever is newer", () => {
    const all = after(row("wiki"), row("wiki", { frozenAt: T0 }), row("crm", { frozenAt: T0 + 1 }), row("pg", { lane: 1, frozenAt: T0 + 2 }));
    expect(frozenOf(all, "berlin/0")).toEqual({ wiki: T0, crm: T0 + 1 });
    expect(frozenOf(all, "berlin/1")).toEqual({ pg: T0 + 2 });
    expect(frozenOf(undefined, "berlin/1")).toEqual({});
    expect(waitingOf(all).map(({ app }) => app)).toEqual(["wiki", "crm", "pg"]);
  });

  it("goes when the lane decided again, but for what it said meanwhile", () => {
    const before = after(row("wiki", { frozenAt: T0 }), row("crm"), row("pg", { lane: 1 }));
    const news = row("crm", { deadlines: [{ at: T0 + 9 }] });
    expect(heard(watch(before, news), before, "berlin/0")).toEqual([row("pg", { lane: 1 }), news]);
  });
});
