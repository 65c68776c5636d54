/**
 * What a receipt promises for bodies that left the mux: bulk downloads and uploads under way are
 * counted, ended at both ends in time, and nothing written after it arrives (CONTRACT "The receipt", M4, M15).
 */
import { request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ReceiptAnswer } from "../../../protocol/admin-api.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { type Person, sessionIdOf, signIn } from "../sign-in.ts";
import { until } from "../../start/running-stack.ts";
import { ENDED_WITHIN_MS } from "./crowd.ts";
import { EVERYBODY, type Stage, startStage } from "./stage.ts";
import { DOWNLOAD_BYTES, FLOOD_BYTES, STAMP_LINE, stampedBlock } from "./stamping-origin.ts";

const DOWNLOADS_COUNT = 3;
const UPLOADS_COUNT = 3;
const UPLOAD_EVERY_MS = 25;

let stage: Stage;
beforeAll(async () => {
  stage = await startStage({ lanes: 2 });
});
afterAll(async () => {
  await stage.end();
});

interface Body {
  readonly name: string;
  readonly up: boolean;
  bytes: number;
  /** The newest stamp of the app that arrived here. */
  lastStamp: number;
  endedAt: number | undefined;
  whole: boolean;
  readonly abandon: () => void;
}

function download(name: string, headers: Readonly<Record<string, string>>): Body {
  const call = httpRequest({ host: "127.0.0.1", port: stage.stack.port, path: `/flood?name=${name}`, headers: { ...headers }, agent: false });
  const body: Body = { name, up: false, bytes: 0, lastStamp: 0, endedAt: undefined, whole: false, abandon: () => call.destroy() };
  call.on("error", () => void (body.endedAt ??= performance.now()));
  call.on("response", (answer) => {
    let rest = "";
    answer.on("data", (chunk: Buffer) => {
      body.bytes += chunk.length;
      const lines = (rest + chunk.toString("latin1")).split("\n");
      rest = (lines.pop() ?? "").slice(0, 64);
      for (const line of lines) body.lastStamp = Math.max(body.lastStamp, Number(STAMP_LINE.exec(line)?.[1] ?? 0));
    });
    answer.on("error", () => undefined);
    answer.on("close", () => {
      body.endedAt ??= performance.now();
      body.whole = answer.complete;
    });
  });
  call.end();
  return body;
}

function upload(name: string, headers: Readonly<Record<string, string>>): Body {
  const call = httpRequest({ host: "127.0.0.1", port: stage.stack.port, method: "POST", path: `/swallow?name=${name}`, headers: { ...headers, "content-length": String(DOWNLOAD_BYTES) }, agent: false });
  const body: Body = { name, up: true, bytes: 0, lastStamp: 0, endedAt: undefined, whole: false, abandon: () => call.destroy() };
  const timer = setInterval(() => {
    if (call.writableLength > 0) return;
    body.bytes += FLOOD_BYTES;
    call.write(stampedBlock(FLOOD_BYTES), "latin1");
  }, UPLOAD_EVERY_MS);
  const over = (): void => {
    clearInterval(timer);
    body.endedAt ??= performance.now();
  };
  call.on("error", over);
  call.on("close", over);
  call.on("response", (answer) => {
    // The app never answers: this is the edge's refusal.
    body.whole = (answer.statusCode ?? 0) < 400;
    over();
    answer.resume();
  });
  return body;
}

/** Segments that the connector carried, by direction. */
async function carried(direction: "down" | "up"): Promise<number> {
  const { text } = await loopbackFetch(`${stage.stack.connectors[0]?.metrics}/metrics`);
  return Number(new RegExp(`segments_total\\{direction="${direction}",outcome="carried"\\} (\\d+)`).exec(text)?.[1] ?? 0);
}

async function under(person: Person, seed: number): Promise<readonly Body[]> {
  const headers = person.headers(stage.stamps);
  const before = await carried("down");
  const bodies = [
    ...Array.from({ length: DOWNLOADS_COUNT }, (_, i) => download(`${seed}-down-${i}`, headers)),
    ...Array.from({ length: UPLOADS_COUNT }, (_, i) => upload(`${seed}-up-${i}`, headers)),
  ];
  const moves = (body: Body): boolean => body.bytes > 8 * FLOOD_BYTES && (!body.up || (stage.origin.sides.get(body.name)?.heard ?? 0) > 0);
  await until(() => bodies.every(moves), "all bodies are under way", 20_000);
  // Every download is beyond its first segment; an upload is one segment to its end.
  await until(async () => (await carried("down")) >= before + DOWNLOADS_COUNT, "the downloads left the mux", 20_000);
  return bodies;
}

async function expectCut(bodies: readonly Body[], change: () => Promise<ReceiptAnswer>): Promise<void> {
  const stalls: number[] = [];
  let last = performance.now();
  const watch = setInterval(() => {
    stalls.push(performance.now() - last - 5);
    last = performance.now();
  }, 5);
  const receipt = await change();
  const at = performance.now();
  const appSide = (body: Body) => stage.origin.sides.get(body.name);
  await until(() => bodies.every((body) => body.endedAt !== undefined && appSide(body)?.endedAt !== undefined), "every body is over at both ends", 10_000);
  clearInterval(watch);
  expect(receipt).toMatchObject({ found: bodies.length, closed: bodies.length, kept: 0, unconfirmed: [], complete: true });
  const late = ENDED_WITHIN_MS + Math.max(0, ...stalls);
  for (const body of bodies) {
    expect(body.whole, `${body.name} is no whole body`).toBe(false);
    expect((body.endedAt ?? 0) - at, `${body.name} ended in time`).toBeLessThan(late);
    expect(Math.max(body.lastStamp, appSide(body)?.heard ?? 0), `${body.name}: nothing that was written after the receipt arrived`).toBeLessThanOrEqual(at);
  }
}

describe("bodies that left the mux", () => {
  it("end with the session that was revoked, and nothing of them passes after the receipt", async () => {
    const person = await signIn(stage.stamps, "alice");
    const bodies = await under(person, 1);
    await expectCut(bodies, () => stage.operator.revoke("session", sessionIdOf(person, stage.stamps)));
  });

  it("end with the policy that allowed them", async () => {
    const person = await signIn(stage.stamps, "alice");
    const bodies = await under(person, 2);
    await expectCut(bodies, async () => (await stage.operator.apply(stage.document("  - { id: people, effect: allow, apps: [stamps, other], when: { group: [contractors] } }"))).receipt);
    await stage.operator.apply(stage.document(EVERYBODY));
  });

  it("end under a policy that counts their bytes, which a piped body cannot be", async () => {
    const person = await signIn(stage.stamps, "alice");
    const bodies = await under(person, 3);
    await expectCut(bodies, async () => (await stage.operator.apply(stage.document(EVERYBODY.replace("contractors] }", "contractors] }, limits: { max_bytes: 1TB }")))).receipt);
    await stage.operator.apply(stage.document(EVERYBODY));
  });

  it("end with the connector that carried them", async () => {
    const person = await signIn(stage.stamps, "alice");
    const bodies = await under(person, 4);
    const id = stage.stack.connectors[0]?.id ?? "";
    await expectCut(bodies, () => stage.operator.revoke("connector", id));
  });
});
