/**
 * What a receipt promises for 270 live connections at once, for every kind of revocation and for
 * a policy under which they are no longer allowed (CONTRACT "The receipt", M1, M2, class H).
 */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ReceiptAnswer } from "../../../protocol/admin-api.ts";
import { edgeApi } from "../../../start/edge-api.ts";
import { startConnector } from "../../../start/local-connector.ts";
import { readFileSync } from "node:fs";
import { type Person, sessionIdOf, signIn } from "../sign-in.ts";
import { until } from "../../start/running-stack.ts";
import { type Crowd, cutDown, expectEnded, expectKept, gather, isOver, type Outcome } from "./crowd.ts";
import { EVERYBODY, type Stage, startStage } from "./stage.ts";
import { open } from "./stream-clients.ts";

const FEW = { websocket: 12, events: 4, download: 2 };
const ALL = 270;
const A_FEW = 18;

let stage: Stage;
const crowds: Crowd[] = [];
const times: { what: string; tookMs: number; slowestMs: number }[] = [];

beforeAll(async () => {
  stage = await startStage({ lanes: 3 });
});
/** Every test starts with quiet lanes, however the one before ended. */
afterEach(async () => {
  for (const crowd of crowds.splice(0)) crowd.abandon();
  await until(async () => (await connectorStreams(undefined)) === 0, "the lanes are quiet", 15_000);
});
afterAll(async () => {
  await stage.end();
  const by = [...times].sort((a, b) => a.tookMs - b.tookMs);
  const median = by[Math.floor(by.length / 2)];
  console.info(`receipts of ${ALL} connections: n=${by.length}, median ${median?.tookMs.toFixed(0)} ms, worst ${by.at(-1)?.tookMs.toFixed(0)} ms; as the receipts say: ${times.map((one) => `${one.what} ${one.slowestMs}`).join(", ")}`);
});

/** Sessions of one person, each in a browser of its own, spread over the lanes by their ids. */
async function sessions(user: string, count: number, app = stage.stamps): Promise<readonly Person[]> {
  const people: Person[] = [];
  await until(async () => {
    // A person who was just revoked is refused for a moment longer (M9).
    const first = await signIn(app, user).catch(() => undefined);
    if (first !== undefined) people.push(first);
    return first !== undefined;
  }, `${user} can sign in`, 10_000);
  while (people.length < count) people.push(await signIn(app, user));
  return people;
}

async function crowd(seed: number, people: readonly Person[], counts?: Parameters<typeof gather>[3], app = stage.stamps): Promise<Crowd> {
  const gathered = await gather(seed, stage.stack.port, people.map((person) => person.headers(app)), counts);
  crowds.push(gathered);
  return gathered;
}

function expectReceipt(receipt: ReceiptAnswer, counts: { found: number; closed: number; kept?: number }): void {
  expect(receipt).toMatchObject({ ...counts, kept: counts.kept ?? 0, frozen: 0, unconfirmed: [], complete: true });
}

function note(what: string, { receipt, tookMs }: Outcome): void {
  times.push({ what, tookMs, slowestMs: receipt.slowest_ms });
}

describe("a receipt of live connections", () => {
  it.each([11, 12])("session · http, sse, websocket: a receipt counts and ends its connections and no other's (M1, M2), seed %i", async (seed) => {
    const [one, two] = await sessions("alice", 2);
    if (one === undefined || two === undefined) throw new Error("two sessions");
    const cut = await crowd(seed, [one]);
    const kept = await crowd(seed + 100, [two], FEW);
    const outcome = await cutDown(() => stage.operator.revoke("session", sessionIdOf(one, stage.stamps)), cut.clients, stage.origin);
    expectReceipt(outcome.receipt, { found: ALL, closed: ALL });
    expectEnded(outcome, cut.clients, stage.origin, "4401");
    await expectKept(outcome, kept.clients);
    expect((await one.call(`${stage.stamps}/plain`)).status).toBe(401);
    expect((await two.call(`${stage.stamps}/plain`)).status).toBe(200);
    note("session", outcome);
  });

  it.each([21, 22])("app · http, sse, websocket: a receipt counts and ends the app's connections of everybody, seed %i", async (seed) => {
    const people = [...(await sessions("alice", 2)), ...(await sessions("bob", 2))];
    for (const person of people) await signIn(stage.other, person.user, { browser: person.browser });
    const cut = await crowd(seed, people);
    const kept = await crowd(seed + 100, people, FEW, stage.other);
    const outcome = await cutDown(() => stage.operator.revoke("app", "stamps"), cut.clients, stage.origin);
    expectReceipt(outcome.receipt, { found: ALL, closed: ALL });
    expectEnded(outcome, cut.clients, stage.origin, "4401");
    await expectKept(outcome, kept.clients);
    note("app", outcome);
  });

  it.each([31, 32])("policy · http, sse, websocket: a receipt counts what it ended and what it kept when an allow is gone (M7), seed %i", async (seed) => {
    const alice = await sessions("alice", 3);
    const bob = await sessions("bob", 2);
    const cut = await crowd(seed, alice);
    const kept = await crowd(seed + 100, bob, FEW);
    const outcome = await cutDown(async () => (await stage.operator.apply(stage.document("  - { id: people, effect: allow, apps: [stamps, other], when: { group: [contractors] } }"))).receipt, cut.clients, stage.origin);
    expectReceipt(outcome.receipt, { found: ALL + A_FEW, closed: ALL, kept: A_FEW });
    expectEnded(outcome, cut.clients, stage.origin, "4403");
    await expectKept(outcome, kept.clients);
    expect((await alice[0]?.call(`${stage.stamps}/plain`))?.status).toBe(404);
    note("apply", outcome);
    await stage.operator.apply(stage.document(EVERYBODY));
    // The edge believes a policy for a while, but never a denial without asking.
    expect((await alice[0]?.call(`${stage.stamps}/plain`))?.status).toBe(200);
  });

  it.each([41, 42])("service · http, sse, websocket: a receipt counts and ends what its token opened, seed %i", async (seed) => {
    const token = await stage.operator.createService("batch");
    const headers = { host: new URL(stage.stamps).host, authorization: `Bearer ${token}` };
    const cut = await gather(seed, stage.stack.port, [headers]);
    crowds.push(cut);
    const outcome = await cutDown(() => stage.operator.revoke("service", "batch"), cut.clients, stage.origin);
    expectReceipt(outcome.receipt, { found: ALL, closed: ALL });
    expectEnded(outcome, cut.clients, stage.origin, "4401");
    expect(await open("events", { port: stage.stack.port, headers, name: `after-${seed}` })).toMatchObject({ ok: false, status: 401 });
    note("service", outcome);
  });

  it.each([51, 52])("connector · http, sse, websocket: a receipt counts and ends what it carried; the other connector's go on, seed %i", async (seed) => {
    const { stack } = stage;
    const people = await sessions("alice", 3);
    const kept = await crowd(seed + 100, people, FEW);
    const second = await startConnector({ processes: stack.processes, api: edgeApi(stack.launcher), operatorToken: readFileSync(stack.tokenFile, "utf8").trim(), site: "office", stateDirectory: join(stack.stateDirectory, `second-${seed}`) });
    const clients = await crowd(seed, people);
    const carried = await connectorStreams(second.id);
    expect(carried).toBeGreaterThan(60);
    const outcome = await cutDown(() => stage.operator.revoke("connector", second.id), [], stage.origin);
    expectReceipt(outcome.receipt, { found: carried, closed: carried });
    await until(() => clients.clients.filter((client) => isOver(client, stage.origin)).length >= carried, "its connections have ended", 2_000);
    const ended = clients.clients.filter((client) => client.endedAt !== undefined);
    expect(ended.length).toBe(carried);
    expectEnded(outcome, ended, stage.origin, "4502");
    await expectKept(outcome, [...kept.clients, ...clients.clients.filter((client) => client.endedAt === undefined)]);
    const { code } = await second.child.exited;
    expect(code).toBe(1);
    note("connector", outcome);
  });

  it.each([
    [61, "alice"],
    [62, "bob"],
    [63, "carol"],
  ])("user · http, sse, websocket: a receipt counts and ends all sessions' connections, seed %i", async (seed, user) => {
    const people = await sessions(user, 5);
    const cut = await crowd(seed, people);
    const outcome = await cutDown(() => stage.operator.revoke("user", `${user}@${user === "bob" ? "partner.example.com" : "example.com"}`), cut.clients, stage.origin);
    expectReceipt(outcome.receipt, { found: ALL, closed: ALL });
    expectEnded(outcome, cut.clients, stage.origin, "4401");
    for (const person of people) expect((await person.call(`${stage.stamps}/plain`)).status).toBe(401);
    expect(await stage.operator.receipt(outcome.receipt.id)).toEqual(outcome.receipt);
    note("user", outcome);
  });
});

/** Streams that the lanes count for a connector, or for all. */
async function connectorStreams(id: string | undefined): Promise<number> {
  const status = JSON.parse((await stage.operator.call("GET", "/edge-status")).text) as { lanes: { connectors?: { id: string; streams: number }[] }[] };
  return status.lanes.flatMap((lane) => lane.connectors ?? []).filter((one) => id === undefined || one.id === id).reduce((sum, one) => sum + one.streams, 0);
}
