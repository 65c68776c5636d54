/**
 * What a connector says of an app, on live connections of every protocol: a scan of it finds
 * something, another image runs, its health check fails while it goes on serving. The connector
 * finds out by itself, from files and checks, and tells the edge. Side by side: each is a wait.
 */
import { afterAll, beforeAll } from "vitest";
import { playRow, type PlayedRow, type Row, rowOf } from "./matrix/cell.ts";
import { type Ground, shellOf, startGround } from "./matrix/ground.ts";
import { criticalFinding, otherImage, unhealthy } from "./matrix/signals.ts";

const digestOf = (hex: string): string => `sha256:${hex.repeat(64)}`;
const IMAGE = digestOf("a");

const ROWS: readonly Row[] = [
  { titles: ["target · http, sse, websocket, tcp, ssh: live before, cut after, when a scan finds something critical"], signal: criticalFinding("scanned") },
  { titles: ["target · http, sse, websocket, tcp, ssh: live before, cut after, when another image runs"], signal: otherImage("imaged", digestOf("b")) },
  { titles: ["target · http, sse, websocket, tcp, ssh: live before, cut after, when the app is not well"], signal: unhealthy("checked") },
];

let ground: Ground;
const playing: Promise<PlayedRow>[] = [];
beforeAll(async () => {
  ground = await startGround({
    needs: { scanned: "target: { max_critical: 0 }", imaged: `target: { digest: "${IMAGE}" }`, checked: "target: { healthy: true }" },
    told: { scanned: { critical: 0 }, imaged: { digest: IMAGE } },
    checked: "checked",
  });
  console.info(shellOf(ground));
  playing.push(...ROWS.map((row) => playRow(ground, row)));
  // Each is judged, or told of, in its row.
  for (const one of playing) one.catch(() => undefined);
});
afterAll(() => ground.end());

for (const [number, row] of ROWS.entries()) rowOf(row, () => playing[number] ?? Promise.reject(new Error("not begun")));
