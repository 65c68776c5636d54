/**
 * The identity provider is gone while its people are connected (P19), through the whole product:
 * what is open at apps of each rule becomes what the rule says, nobody signs in, and all is well
 * once it is back. Side by side: finding out is a wait.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { loopbackFetch, type LoopbackAnswer } from "../../../start/loopback-http.ts";
import { until } from "../../start/running-stack.ts";
import { playRow, type PlayedRow, type Row, rowOf } from "./matrix/cell.ts";
import { type Ground, startGround } from "./matrix/ground.ts";
import { signInSomebody } from "./matrix/somebody.ts";

/** Asked for when somebody is about to sign in, three times in a row without an answer. */
const FOUND_OUT_MS = 40_000;
/** An app whose rule is to cut shows that the lane of these connections knows. */
const WITNESS = "web-strict";

let ground: Ground;
let gone: Promise<void> | undefined;
const signIn = (): Promise<LoopbackAnswer> =>
  loopbackFetch(`${ground.stack.launcher}/.postern/login?provider=own&to=${encodeURIComponent(`${ground.stack.launcher}/`)}`, { headers: { accept: "application/json" } });

/** Once the five of every row are alive. */
let alive = 0;
const under = (need: string): Row["signal"] => async () => {
  const holder = await signInSomebody(ground, `lost-${need}`);
  const witness = await holder.headers(WITNESS);
  const say = async (): Promise<object> => {
    alive++;
    await until(() => alive === ROWS.length, "all are alive", FOUND_OUT_MS);
    await (gone ??= ground.people.away());
    await until(async () => {
      await signIn();
      const { status, text } = await loopbackFetch(`${ground.urlOf(WITNESS)}/plain`, { headers: { ...witness, accept: "application/json" } });
      return status === 503 && text.includes("identity_lost");
    }, "its lane knows", FOUND_OUT_MS);
    return {};
  };
  return { holder, need, say };
};

const ROWS: readonly Row[] = [
  { titles: ["identity-lost · http, sse, websocket, tcp, ssh: live before, kept after, where the rule is to keep"], signal: under("plain") },
  { titles: ["identity-lost · http, sse: live before, limited after, where only reading may go on", "identity-lost · websocket, tcp, ssh: live before, cut after, where only reading may go on"], signal: under("reading"), refused: 503 },
  { titles: ["identity-lost · http, sse, websocket, tcp, ssh: live before, cut after, where the rule is to cut"], signal: under("strict") },
];

const playing: Promise<PlayedRow>[] = [];
beforeAll(async () => {
  ground = await startGround({ needs: { plain: "", reading: "", strict: "" }, beside: { reading: "on_identity_loss: read_only", strict: "on_identity_loss: cut" } });
  playing.push(...ROWS.map((row) => playRow(ground, row)));
  for (const one of playing) one.catch(() => undefined);
});
afterAll(() => ground.end());

for (const [number, row] of ROWS.entries()) rowOf(row, () => playing[number] ?? Promise.reject(new Error("not begun")));

it("P19: nobody is sent to a provider that is away: the page says so; once it is back, so does everybody", async () => {
  await Promise.allSettled(playing);
  const refused = await signIn();
  expect([refused.status, refused.text]).toEqual([502, expect.stringContaining("provider_unreachable")]);
  await ground.people.back();
  await until(async () => (await signIn()).status !== 502, "it is known to be back", FOUND_OUT_MS);
  const somebody = await signInSomebody(ground, "afterwards");
  const headers = await somebody.headers(WITNESS);
  await until(async () => (await loopbackFetch(`${ground.urlOf(WITNESS)}/plain`, { headers })).status === 200, "all is as before", FOUND_OUT_MS);
});
