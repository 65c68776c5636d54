import { describe, expect, it } from "vitest";
import { AUDIT_MIGRATIONS } from "../../durable-objects/audit/schema.ts";
import { CONTROL_MIGRATIONS } from "../../durable-objects/control/schema.ts";
import { Database, type Migration } from "../../durable-objects/sqlite.ts";
import { ObjectStorage } from "./object-storage.ts";

const ONE: Migration = "CREATE TABLE a (x INTEGER)";
const TWO: Migration = "ALTER TABLE a ADD COLUMN y TEXT DEFAULT 'old'";
const BAD: Migration = "CREATE TABLE a (again INTEGER)";

const open = (storage: ObjectStorage, ...steps: Migration[]): Database => new Database(storage as never, steps);
const versionOf = (storage: ObjectStorage): unknown => storage.sql.exec("SELECT version FROM _schema").toArray();

describe("migrations", () => {
  it("a read of an object that never wrote finds nothing and stores nothing", () => {
    const storage = new ObjectStorage();
    const db = open(storage, ONE);
    expect(db.exists).toBe(false);
    expect(db.all("SELECT * FROM a")).toEqual([]);
    expect(db.one("SELECT * FROM a")).toBeUndefined();
    expect(storage.sql.exec("SELECT name FROM sqlite_master").toArray()).toEqual([]);
  });

  it("run at the first write, once", () => {
    const storage = new ObjectStorage();
    open(storage, ONE).run("INSERT INTO a VALUES (1)");
    open(storage, ONE).run("INSERT INTO a VALUES (2)");
    expect(open(storage, ONE).all("SELECT x FROM a")).toEqual([{ x: 1 }, { x: 2 }]);
    expect(versionOf(storage)).toEqual([{ version: 1 }]);
  });

  it("only the new steps run over what older code stored, also when the first call is a read", () => {
    const storage = new ObjectStorage();
    open(storage, ONE).run("INSERT INTO a VALUES (1)");
    expect(open(storage, ONE, TWO).all("SELECT * FROM a")).toEqual([{ x: 1, y: "old" }]);
    expect(versionOf(storage)).toEqual([{ version: 2 }]);
  });

  it("a schema of newer code is refused, by reads and by writes: nothing is guessed", () => {
    const storage = new ObjectStorage();
    open(storage, ONE, TWO).run("INSERT INTO a VALUES (1, 'new')");
    expect(() => open(storage, ONE).all("SELECT * FROM a")).toThrow("newer than this code");
    expect(() => open(storage, ONE).run("INSERT INTO a VALUES (2)")).toThrow("newer than this code");
    expect(() => open(storage, ONE).transaction(() => 1)).toThrow("newer than this code");
    expect(open(storage, ONE, TWO).all("SELECT * FROM a")).toHaveLength(1);
  });

  it("a step that fails leaves all of them undone, and the next call tries again", () => {
    const storage = new ObjectStorage();
    const db = open(storage, ONE, BAD);
    expect(() => db.run("INSERT INTO a VALUES (1)")).toThrow();
    expect(() => db.run("INSERT INTO a VALUES (1)")).toThrow();
    expect(storage.sql.exec("SELECT name FROM sqlite_master").toArray()).toEqual([]);
  });

  it("a transaction that throws leaves nothing", () => {
    const storage = new ObjectStorage();
    const db = open(storage, ONE);
    expect(() =>
      db.transaction(() => {
        db.run("INSERT INTO a VALUES (1)");
        throw new Error("no");
      }),
    ).toThrow("no");
    expect(db.all("SELECT * FROM a")).toEqual([]);
  });

  it.each([
    ["audit", AUDIT_MIGRATIONS],
    ["control", CONTROL_MIGRATIONS],
  ])("the steps of %s run one after the other, each released step first (append-only)", (_name, steps) => {
    for (let released = 1; released <= steps.length; released++) {
      const storage = new ObjectStorage();
      open(storage, ...steps.slice(0, released)).transaction(() => undefined);
      open(storage, ...steps).transaction(() => undefined);
      expect(versionOf(storage)).toEqual([{ version: steps.length }]);
    }
  });
});
