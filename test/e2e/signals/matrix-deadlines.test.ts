/**
 * Trust that runs out by itself on live connections of every protocol: a fact that nobody renews,
 * a grant's end, the session's end, and its end for idleness. Side by side: each is a wait.
 */
import { afterAll, beforeAll } from "vitest";
import { playRow, type PlayedRow, type Row, rowOf, SIGNED_OUT } from "./matrix/cell.ts";
import { type Ground, shellOf, startGround } from "./matrix/ground.ts";
import { grantEnd, idleEnd, sessionEnd, staleReport } from "./matrix/signals.ts";

const MAX_AGE_S = 10;
const SESSION_S = 20;
const IDLE_S = 8;

const EXPIRED = { websocket: SIGNED_OUT.websocket, agent: [...SIGNED_OUT.agent, "expired"] };
const ROWS: readonly Row[] = [
  { titles: ["fact-expiry · http, sse, websocket, tcp, ssh: live before, cut after"], signal: staleReport("reported", MAX_AGE_S * 1_000) },
  { titles: ["grant-expiry · http, sse, websocket, tcp, ssh: live before, cut after"], signal: grantEnd("6s") },
  { titles: ["session-end · http, sse, websocket, tcp, ssh: live before, cut after"], signal: sessionEnd, code: EXPIRED },
  { titles: ["session-idle · http, sse, websocket, tcp, ssh: live before, cut after"], signal: idleEnd(IDLE_S * 1_000), code: EXPIRED },
];

let ground: Ground;
const playing: Promise<PlayedRow>[] = [];
beforeAll(async () => {
  ground = await startGround({
    needs: { plain: "", granted: "grant: true", reported: `device: { registered: true, disk_encrypted: true, max_age: ${MAX_AGE_S}s }` },
    defaults: `{ session: { max: ${SESSION_S}s, idle: ${IDLE_S}s } }`,
  });
  console.info(shellOf(ground));
  playing.push(...ROWS.map((row) => playRow(ground, row)));
  // Each is judged, or told of, in its row.
  for (const one of playing) one.catch(() => undefined);
});
afterAll(() => ground.end());

for (const [number, row] of ROWS.entries()) rowOf(row, () => playing[number] ?? Promise.reject(new Error("not begun")));
