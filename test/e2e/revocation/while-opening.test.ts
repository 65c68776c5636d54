/**
 * Streams that are being opened while a revocation runs: each is counted in the receipt and
 * ended, or refused; none is in between (CONTRACT "The receipt", M1).
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Person, sessionIdOf, signIn } from "../sign-in.ts";
import { seeded } from "../../seeded.ts";
import { until } from "../../start/running-stack.ts";
import { isOver } from "./crowd.ts";
import { type Stage, startStage } from "./stage.ts";
import { type ClientSide, type Kind, open } from "./stream-clients.ts";

const KINDS: readonly Kind[] = ["websocket", "events", "download"];
const OPENERS_COUNT = 16;
/** No more are asked for before the receipt, however long it takes. */
const MAX_OPENS_COUNT = 400;

let stage: Stage;
beforeAll(async () => {
  stage = await startStage({ lanes: 2 });
});
afterAll(async () => {
  await stage.end();
});

describe("a stream opened while a revocation is under way", () => {
  it.each([1, 2, 3, 4])("is counted or refused (M1), seed %i", async (seed) => {
    const random = seeded(seed);
    const person: Person = await signIn(stage.stamps, "alice");
    const headers = person.headers(stage.stamps);
    const opened: ClientSide[] = [];
    const statuses: number[] = [];
    let broken = 0;
    let asked = 0;
    let receiptAt = Number.POSITIVE_INFINITY;
    let openedAfter = 0;
    const startAt = 20 + Math.floor(random() * 40);
    let start: () => void = () => undefined;
    const started = new Promise<void>((go) => (start = go));
    let received: () => void = () => undefined;
    const receiptCame = new Promise<void>((go) => (received = go));
    const opener = async (): Promise<void> => {
      // Each opener also tries twice more after the receipt: what slips through would show itself.
      for (let after = 0; after < 2; ) {
        if (asked >= MAX_OPENS_COUNT) await receiptCame;
        if (++asked === startAt) start();
        const begun = performance.now();
        if (begun > receiptAt) after++;
        const kind = KINDS[Math.floor(random() * KINDS.length)] ?? "events";
        const one = await open(kind, { port: stage.stack.port, headers, name: `open-${seed}-${asked}-${Math.floor(random() * 1e9)}` }).catch(() => undefined);
        if (one === undefined) broken++;
        else if (one.ok) {
          opened.push(one.client);
          if (begun > receiptAt) openedAfter++;
        } else statuses.push(one.status);
      }
    };
    const openers = Array.from({ length: OPENERS_COUNT }, opener);
    await started;
    const receipt = await stage.operator.revoke("session", sessionIdOf(person, stage.stamps));
    receiptAt = performance.now();
    received();
    await Promise.all(openers);
    await until(() => opened.every((client) => isOver(client, stage.origin)), "every opened stream is over").catch(() => undefined);

    expect(openedAfter).toBe(0);
    // Refused means: not signed in any more. Broken while its head was on the way means: counted and cut.
    expect([...new Set(statuses)]).toEqual([401]);
    expect(receipt).toMatchObject({ complete: true, kept: 0, unconfirmed: [] });
    expect(receipt.closed).toBe(receipt.found);
    expect(receipt.found).toBeGreaterThanOrEqual(opened.length);
    expect(receipt.found).toBeLessThanOrEqual(opened.length + broken + statuses.length);
    expect(opened.filter((client) => client.endedAt === undefined).map((client) => client.name)).toEqual([]);
    expect(opened.filter((client) => client.lastStamp > receiptAt).map((client) => client.name)).toEqual([]);
    const alive = opened.map((client) => stage.origin.sides.get(client.name)).filter((side) => side !== undefined && side.endedAt === undefined);
    expect(alive).toEqual([]);
    expect(opened.length).toBeGreaterThan(0);
  });
});
