import { describe, expect, it } from "vitest";
import type { RequestId, SessionId } from "../../../core/ids.ts";
import { type LiveStream, reportOf, StreamTable } from "../../../durable-objects/tunnel/live-stream.ts";
import { SID, sidOf, T0, WIKI } from "../samples.ts";

const stream = (id: string, sid: SessionId | undefined, more: Partial<LiveStream> = {}): LiveStream => ({
  id: id as RequestId,
  sid,
  ask: { app: WIKI, protocol: "http", method: "GET", path: "/" },
  connection: {},
  issuer: "https://access.example.com",
  openedAt: T0,
  link: "link",
  number: 2,
  redecideAt: Number.POSITIVE_INFINITY,
  limits: { readOnly: false },
  policyVersion: 1,
  bytesIn: 3,
  bytesOut: 4,
  bytesTold: 0,
  held: false,
  cut: () => 0,
  ...more,
});

describe("the table of live streams", () => {
  const table = new StreamTable();
  const mine = stream("r_1", SID);
  const second = stream("r_2", SID);
  const other = stream("r_3", sidOf(2));
  const nobody = stream("r_4", undefined);
  for (const one of [mine, second, other, nobody]) table.add(one);

  it("finds a session's streams and nobody else's", () => {
    expect(table.ofSession(SID)).toEqual([mine, second]);
    expect(table.sessions()).toEqual(new Set([SID, sidOf(2), undefined]));
  });

  it("a stream that is removed is in no count any more", () => {
    table.remove(mine.id);
    expect(table.get(mine.id)).toBeUndefined();
    expect(table.ofSession(SID)).toEqual([second]);
    expect(table.size).toBe(3);
  });

  it("a list that was taken stays as it was while streams are cut and removed", () => {
    const all = table.where(() => true);
    for (const one of all) table.remove(one.id);
    expect(all).toHaveLength(3);
    expect(table.size).toBe(0);
  });
});

describe("a stream's report", () => {
  it("says what an operator may know, and whether it waits for a renewal (M4)", () => {
    expect(reportOf(stream("r_1", SID, { held: true }))).toEqual({ id: "r_1", sid: SID, app: WIKI, protocol: "http", bytesIn: 3, bytesOut: 4, state: "held" });
    expect(reportOf(stream("r_1", undefined))).not.toHaveProperty("sid");
  });
});
