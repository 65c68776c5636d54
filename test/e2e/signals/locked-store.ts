/**
 * A store that lets nobody write, while people are connected to apps of each rule (P19): the test
 * holds the one lock that the objects' files have for writers. Side by side: finding out is a wait.
 */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, it } from "vitest";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { until } from "../../start/running-stack.ts";
import { playRow, type PlayedRow, type Row, rowOf } from "./matrix/cell.ts";
import { type Ground, startGround } from "./matrix/ground.ts";
import { signInSomebody } from "./matrix/somebody.ts";

/** A batch of records leaves and fails; a lease is asked for in its last seconds. */
const FOUND_OUT_MS = 40_000;
/** An app whose rule is to cut shows that the lane of these connections knows. */
const WITNESS = "web-strict";

export interface Loss {
  readonly part: "audit" | "control";
  /** The class of the objects whose files are locked. */
  readonly object: "Audit" | "Control";
  /** Of what happens under keep, read_only and cut. */
  readonly titles: { readonly plain: readonly string[]; readonly reading: readonly string[]; readonly strict: readonly string[] };
}

/** The tests of one part. */
export function lossTests({ part, object, titles }: Loss): void {
  let ground: Ground;
  let isLocked = false;
  let alive = 0;
  const locks: DatabaseSync[] = [];

  const lock = (): void => {
    if (isLocked) return;
    isLocked = true;
    const folder = dirname(ground.folder("any"));
    for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
      if (!file.includes(`postern-${object}`) || !/\/[0-9a-f]{64}\.sqlite$/.test(file)) continue;
      const database = new DatabaseSync(join(folder, file));
      locks.push(database);
      database.exec("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE");
    }
    if (locks.length === 0) throw new Error("nothing to lock");
  };
  const unlock = (): void => {
    for (const one of locks.splice(0)) one.close();
  };

  const under = (need: string): Row["signal"] => async () => {
    const holder = await signInSomebody(ground, `lost-${need}`);
    const witness = await holder.headers(WITNESS);
    const say = async (): Promise<object> => {
      alive++;
      await until(() => alive === Object.keys(titles).length, "all are alive", FOUND_OUT_MS);
      lock();
      await until(async () => {
        const { status, text } = await loopbackFetch(`${ground.urlOf(WITNESS)}/plain`, { headers: { ...witness, accept: "application/json" } });
        return status === 503 && text.includes(`${part}_lost`);
      }, "its lane knows", FOUND_OUT_MS);
      return {};
    };
    return { holder, need, say };
  };

  const rows: readonly Row[] = Object.entries(titles).map(([need, own]) => ({ titles: own, signal: under(need), refused: 503 }));
  const playing: Promise<PlayedRow>[] = [];
  beforeAll(async () => {
    ground = await startGround({ needs: { plain: "", reading: "", strict: "" }, beside: { reading: `on_${part}_loss: read_only`, strict: `on_${part}_loss: cut` } });
    playing.push(...rows.map((row) => playRow(ground, row)));
    // Each is judged in its row.
    for (const one of playing) one.catch(() => undefined);
  });
  afterAll(async () => {
    unlock();
    await ground.end();
  });

  for (const [number, row] of rows.entries()) rowOf(row, () => playing[number] ?? Promise.reject(new Error("not begun")));

  it("P19: nobody signs in whose sign-in cannot be stored; once it can, all is as before", async () => {
    await Promise.allSettled(playing);
    // The record has several shards, and of some there was no file to lock yet.
    let tried = 0;
    await until(() => signInSomebody(ground, `meanwhile-${++tried}`).then(() => false, () => true), "somebody is refused", FOUND_OUT_MS);
    unlock();
    const headers = await (await signInSomebody(ground, "afterwards")).headers(WITNESS);
    await until(async () => (await loopbackFetch(`${ground.urlOf(WITNESS)}/plain`, { headers })).status === 200, "all is as before", FOUND_OUT_MS);
  });
}
