import { expect, it } from "vitest";
import { CONTROL_MIGRATIONS } from "../../../durable-objects/control/schema.ts";
import * as signals from "../../../durable-objects/control/signals.ts";
import { Database } from "../../../durable-objects/sqlite.ts";
import { ObjectStorage } from "../object-storage.ts";
import { HOUR, sidOf, T0 } from "../samples.ts";

it("what comes of a provider's session that ended is refused for longer than an ID token of it buys anything", () => {
  const db = new Database(new ObjectStorage() as never, CONTROL_MIGRATIONS);
  const login = { issuer: "https://idp.example.com", id: "s1" };
  const note = (now: number, id = login.id): boolean => signals.noteLogin(db, { ...login, id, sid: sidOf(2), endsAt: now + HOUR }, now);
  expect(signals.endLogin(db, login, T0)).toEqual([]);
  expect([0, 1, 2, 24].map((hours) => note(T0 + hours * HOUR))).toEqual([false, false, false, false]);
  expect(note(T0 + HOUR, "s2")).toBe(true);
  expect(note(T0 + 26 * HOUR)).toBe(true);
});
