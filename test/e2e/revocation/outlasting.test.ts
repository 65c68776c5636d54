/**
 * What takes half a minute of real time, side by side on two stages: leases that nothing renewed
 * run out under quiet sockets (M3, M7, M9), and a drain's time runs out under streams that live on (F2).
 */
import { describe, it } from "vitest";
import type { LocalConnector } from "../../../start/local-connector.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { until } from "../../start/running-stack.ts";
import { signIn } from "../sign-in.ts";
import { gather } from "./crowd.ts";
import { type Stage, type StageOptions, startStage } from "./stage.ts";
import { type ClientSide, open } from "./stream-clients.ts";

/** A lease that nothing renewed is over after this long (M9), and a lane without bodies sleeps after 10 s. */
const LEASES_OVER_MS = 31_000;
/** Drained, or broken off, after this long (protocol/deadlines.ts DRAIN_MS), and some to end. */
const EXIT_WITHIN_MS = 32_000;
const TEST_TIMEOUT_MS = 60_000;
const NOBODY_OF_STAFF = "  - { id: people, effect: allow, apps: [stamps, other], when: { group: [contractors] } }";

async function on(options: StageOptions, play: (stage: Stage) => Promise<void>): Promise<void> {
  const stage = await startStage(options);
  try {
    await play(stage);
  } finally {
    await stage.end();
  }
}

/** Sockets that say nothing after their first message. */
async function quietSockets(stage: Stage, user: string, count: number): Promise<readonly ClientSide[]> {
  const person = await signIn(stage.other, user);
  const clients: ClientSide[] = [];
  for (let n = 0; n < count; n++) {
    const one = await open("websocket", { port: stage.stack.port, headers: person.headers(stage.other), name: `quiet-${user}-${n}`, query: "&quiet" });
    if (!one.ok) throw new Error(`refused: ${one.status}`);
    clients.push(one.client);
  }
  return clients;
}

describe.concurrent("half a minute later", () => {
  it("a quiet WebSocket whose lease is over ends with the receipt all the same, of a revocation and of an apply", ({ expect: expects }) => on({ lanes: 4 }, async (stage) => {
    const alice = await quietSockets(stage, "alice", 5);
    const bob = await quietSockets(stage, "bob", 5);
    await new Promise((wake) => setTimeout(wake, LEASES_OVER_MS));
    expects([...alice, ...bob].filter((client) => client.endedAt !== undefined)).toEqual([]);
    const revoked = await stage.operator.revoke("user", "bob@partner.example.com");
    expects(revoked).toMatchObject({ found: 5, closed: 5, complete: true, kept: 0, frozen: 0, unconfirmed: [] });
    await until(() => bob.every((client) => client.end === "4401"), "bob's sockets ended");
    const applied = await stage.operator.apply(stage.document(NOBODY_OF_STAFF));
    expects(applied.receipt).toMatchObject({ found: 5, closed: 5, complete: true, kept: 0, frozen: 0, unconfirmed: [] });
    await until(() => alice.every((client) => client.end === "4403"), "alice's sockets ended");
  }), TEST_TIMEOUT_MS);

  it("the last connector told to end has refused what is new with 503 no_connector, broken off what lived on, and exited 0", ({ expect: expects }) => on({ lanes: 2 }, async (stage) => {
    const { stack } = stage;
    const connector = stack.connectors[0] as LocalConnector;
    const alice = await signIn(stage.stamps, "alice");
    const plain = (): Promise<{ status: number; text: string }> => loopbackFetch(`${stage.stamps}/plain`, { headers: { ...alice.headers(stage.stamps), accept: "application/json" } });
    const crowd = await gather(8, stack.port, [alice.headers(stage.stamps)], { websocket: 4, events: 1, download: 1 });
    const toldAt = performance.now();
    connector.child.process.kill("SIGTERM");
    await until(async () => (await plain()).status === 503, "new requests are refused");
    expects(JSON.parse((await plain()).text)).toMatchObject({ error: { code: "no_connector" } });
    expects(crowd.clients.filter((client) => client.endedAt !== undefined)).toEqual([]);
    const { code } = await connector.child.exited;
    expects(code).toBe(0);
    expects(performance.now() - toldAt).toBeGreaterThan(25_000);
    expects(performance.now() - toldAt).toBeLessThan(EXIT_WITHIN_MS);
    await until(() => crowd.clients.every((client) => client.endedAt !== undefined), "what lived on was broken off");
    const ends = crowd.clients.map((client) => (client.kind === "websocket" ? `socket ${client.end}` : `body ${client.end}`)).toSorted();
    expects(ends).toEqual(["body error", "body error", "socket 4502", "socket 4502", "socket 4502", "socket 4502"]);
  }), TEST_TIMEOUT_MS);
});
