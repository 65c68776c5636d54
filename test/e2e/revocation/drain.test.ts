/**
 * The orderly end of a connector (F2): SIGTERM with open streams lets them finish, takes no new
 * ones and exits 0 within 30 s; a replica takes over without one failed request.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { edgeApi } from "../../../start/edge-api.ts";
import { type LocalConnector, startConnector } from "../../../start/local-connector.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { until } from "../../start/running-stack.ts";
import { type Person, signIn } from "../sign-in.ts";
import { gather } from "./crowd.ts";
import { type Stage, startStage } from "./stage.ts";

/** Drained, or broken off, after this long (protocol/deadlines.ts DRAIN_MS), and some to end. */
const EXIT_WITHIN_MS = 32_000;

/** What the app wrote this long after the signal came through: no stream was ended by it. */
const LIVED_ON_MS = 500;

let stage: Stage;
let alice: Person;
beforeAll(async () => {
  stage = await startStage({ lanes: 2 });
  alice = await signIn(stage.stamps, "alice");
});
afterAll(async () => {
  await stage.end();
});

const plain = async (): Promise<{ status: number; text: string }> => loopbackFetch(`${stage.stamps}/plain`, { headers: { ...alice.headers(stage.stamps), accept: "application/json" } });

describe("SIGTERM of a connector", () => {
  it("with a replica there: no new request fails, open streams live on, and it exits 0 when they are done", async () => {
    const { stack } = stage;
    const first = stack.connectors[0] as LocalConnector;
    const crowd = await gather(7, stack.port, [alice.headers(stage.stamps)], { websocket: 20, events: 1, download: 3 });
    await startConnector({ processes: stack.processes, api: edgeApi(stack.launcher), operatorToken: readFileSync(stack.tokenFile, "utf8").trim(), site: "office", stateDirectory: join(stack.stateDirectory, "second") });
    const statuses = new Map<number, number>();
    let isOver = false;
    const asking = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const { status } = await plain();
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    });
    await until(() => (statuses.get(200) ?? 0) > 20, "requests flow");
    const toldAt = performance.now();
    first.child.process.kill("SIGTERM");
    await until(() => crowd.clients.every((client) => client.lastStamp > toldAt + LIVED_ON_MS), "every open stream lives on");
    expect(first.child.ended()).toBe(false);
    expect(crowd.clients.filter((client) => client.endedAt !== undefined)).toEqual([]);
    crowd.abandon();
    const { code } = await first.child.exited;
    expect(code).toBe(0);
    expect(performance.now() - toldAt).toBeLessThan(EXIT_WITHIN_MS);
    isOver = true;
    await Promise.all(asking);
    expect([...statuses.keys()]).toEqual([200]);
  });
});
