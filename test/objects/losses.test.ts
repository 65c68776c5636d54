/** P19: while the record, control or the identity provider is down, what lives in a lane goes on as its app's rule says, and new access fails closed. */
import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { SessionId } from "../../core/ids.ts";
import { Audit } from "../../durable-objects/audit/audit.ts";
import { encodeControl } from "../../protocol/control.ts";
import { Control } from "../../durable-objects/control/control.ts";
import { AGAIN_MS, CALLED_MS } from "../../durable-objects/control/provider-watch.ts";
import { LEASE_WAIT_MS } from "../../durable-objects/lease-terms.ts";
import { laneOf, laneStub, objects, openRequest, sessionStub, setUp, signedIn, stubs, userId, wipe } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { TestAgent } from "./test-agent.ts";
import { connected, type TestConnector } from "./test-connector.ts";

let connector: TestConnector;
let sid: SessionId;
/** Of the objects' clock before the machine's. */
let ahead = 0;

afterEach(wipe);

async function begin(rule: string, part = "audit"): Promise<void> {
  ahead = 0;
  const real = Date.now;
  vi.spyOn(Date, "now").mockImplementation(() => real() + ahead);
  await setUp(undefined, undefined, `defaults: { on_${part}_loss: ${rule} }\n`);
  connector = await connected();
  sid = await signedIn();
}

/** The lane's own shard stores nothing from now on; those of the edge do. */
function breakRecord(): { mend: () => void; tried: () => number } {
  const real = Reflect.get(Audit.prototype, "append") as Audit["append"];
  let tried = 0;
  const spy = vi.spyOn(Audit.prototype, "append").mockImplementation(function (this: Audit, ...args) {
    if (args[0] === "direct") return real.apply(this, args);
    tried++;
    return Promise.reject(new Error("the disk is full"));
  });
  return { mend: () => spy.mockRestore(), tried: () => tried };
}

const asked = async (app = "wiki", method = "GET"): Promise<string> => {
  const answer = await laneStub().fetch(openRequest(sid, app, "http", 0, { method, ...(method === "POST" ? { body: "x" } : {}) }));
  const refusal = answer.headers.get("postern-refusal");
  await answer.body?.cancel();
  return refusal === null ? String(answer.status) : (JSON.parse(refusal) as { code: string }).code;
};

/** One live connection of each protocol, each seen to carry bytes. */
async function live(): Promise<{ socket: WebSocket; open: () => Promise<readonly string[]>; closed: Promise<number>; agent: TestAgent; stream: Awaited<ReturnType<TestAgent["open"]>> }> {
  const answer = await laneStub().fetch(openRequest(sid));
  void answer.body?.pipeTo(new WritableStream()).catch(() => undefined);
  const { webSocket } = await laneStub().fetch(openRequest(sid, "wiki", "websocket"));
  if (webSocket === null) throw new Error("no socket");
  webSocket.accept();
  const closed = new Promise<number>((resolve) => webSocket.addEventListener("close", ({ code }) => resolve(code)));
  const agent = await TestAgent.dial(sid);
  const stream = await agent.open();
  agent.write(stream, "hello");
  await eventually(() => [...connector.tcp.values()].some((one) => one.text.endsWith("hello")));
  const open = async (): Promise<readonly string[]> => (await laneOf().streams(sid)).streams.map(({ protocol }) => protocol).sort();
  expect(await open()).toEqual(["http", "tcp", "websocket"]);
  return { socket: webSocket, open, closed, agent, stream };
}

const isLost = (): Promise<void> => eventually(async () => (await asked("crm")) === "audit_lost");
/** Lets time pass, in two steps: whoever speaks in between is heard of. */
async function later(ms: number, speak: () => void = () => undefined): Promise<void> {
  const to = ahead + ms;
  ahead += ms / 2;
  connector.control(encodeControl({ t: "count", opened: 0 }));
  speak();
  for (let turn = 0; turn < 20; turn++) await laneOf().status();
  ahead = to;
}
const records = async (): Promise<readonly { kind: string; data: Record<string, unknown> }[]> => (await objects.AUDIT.getByName("lane/berlin/0").since(0, 1_000)) as never;

describe.each([
  ["keep", ["http", "tcp", "websocket"], { GET: "200", POST: "200" }],
  ["read_only", ["http"], { GET: "200", POST: "audit_lost" }],
  ["cut", [], { GET: "audit_lost", POST: "audit_lost" }],
])("P19: on_audit_loss: %s", (rule, goesOn, answers) => {
  it(`lets ${goesOn.length === 0 ? "nothing" : goesOn.join(", ")} go on until the lease ends, then nothing; a first grant is refused; all is as before once the record answers`, async () => {
    await begin(rule);
    const streams = await live();
    const record = breakRecord();
    expect(await asked()).toBe("200");
    await eventually(() => record.tried() >= 2);
    await isLost();
    await eventually(async () => JSON.stringify(await streams.open()) === JSON.stringify(goesOn));
    expect({ GET: await asked("wiki", "GET"), POST: await asked("wiki", "POST") }).toEqual(answers);
    await later(LEASE_WAIT_MS + 1, () => void (rule === "keep" && streams.agent.write(streams.stream, "still here")));
    expect(await asked()).toBe("audit_lost");
    await runDurableObjectAlarm(sessionStub(sid));
    await eventually(async () => (await streams.open()).filter((one) => one !== "http").length === 0);
    connector.write("a byte after it");
    await eventually(async () => (await streams.open()).length === 0);
    expect(await streams.closed).toBe(4403);
    expect(await streams.agent.answer(streams.stream.id, ["closed"])).toMatchObject({ code: "policy" });
    record.mend();
    await eventually(async () => (await asked("crm")) === "200");
    expect(await asked("wiki", "POST")).toBe("200");
    await eventually(async () => (await records()).filter(({ kind }) => kind === "loss").length === 2);
    const [lost, back] = (await records()).filter(({ kind }) => kind === "loss");
    expect(lost?.data).toMatchObject({ part: "audit" });
    expect(back?.data).toMatchObject({ part: "audit", since: lost?.data["since"], until: expect.any(Number) });
    // What was refused meanwhile is on record too, with the loss among its facts.
    expect((await records()).filter(({ data }) => data["reason"] === "audit_lost")[0]?.data).toMatchObject({ facts: { "loss.audit": { source: "postern" } } });
    // Numbers whose batch is still on its way are a gap until it is stored.
    await vi.waitFor(async () => expect(await objects.AUDIT.getByName("lane/berlin/0").verify()).toMatchObject({ broken: [], gaps: [] }), { timeout: 10_000 });
  });
});

describe.each([
  ["keep", ["http", "tcp", "websocket"], { GET: "200", POST: "200" }],
  ["read_only", ["http"], { GET: "200", POST: "control_lost" }],
  ["cut", [], { GET: "control_lost", POST: "control_lost" }],
])("P19: on_control_loss: %s", (rule, goesOn, answers) => {
  it(`lets ${goesOn.length === 0 ? "nothing" : goesOn.join(", ")} go on until the lane's lease on the policy ends, then nothing; all is as before once control answers`, async () => {
    await begin(rule, "control");
    const streams = await live();
    const control = vi.spyOn(Control.prototype, "leasePolicy").mockRejectedValue(new Error("down"));
    await later(18_000, () => streams.agent.write(streams.stream, "still here"));
    streams.agent.write(streams.stream, "a byte of the last seconds of its lease");
    await eventually(() => control.mock.calls.length >= 2);
    await eventually(async () => JSON.stringify(await streams.open()) === JSON.stringify(goesOn));
    expect({ GET: await asked("wiki", "GET"), POST: await asked("wiki", "POST") }).toEqual(answers);
    await later(8_000);
    expect(await asked()).toBe("control_lost");
    for (const socket of goesOn.includes("tcp") ? [streams.socket] : []) socket.send("a byte after it");
    if (goesOn.includes("tcp")) streams.agent.write(streams.stream, "a byte after it");
    connector.write("a byte after it");
    await eventually(async () => (await streams.open()).length === 0);
    expect(await streams.closed).toBe(4403);
    expect(await streams.agent.answer(streams.stream.id, ["closed"])).toMatchObject({ code: "policy" });
    control.mockRestore();
    expect(await asked("wiki", "POST")).toBe("200");
    await eventually(async () => (await records()).filter(({ kind }) => kind === "loss").length === 2);
    expect((await records()).findLast(({ kind }) => kind === "loss")?.data).toMatchObject({ part: "control", until: expect.any(Number) });
  });
});

/** The provider, as control's own questions find it. */
function provider(): { down: boolean; asked: number } {
  const state = { down: false, asked: 0 };
  const issuer = "https://login.example.com";
  vi.spyOn(globalThis, "fetch").mockImplementation(async (url: unknown) => {
    state.asked++;
    if (state.down) throw new Error("refused");
    const metadata = { issuer, authorization_endpoint: `${issuer}/a`, token_endpoint: `${issuer}/t`, jwks_uri: `${issuer}/k` };
    return Response.json((url as string).endsWith("/k") ? { keys: [{ kty: "RSA", n: "AQAB", e: "AQAB" }] } : metadata);
  });
  return state;
}

const control = (): ReturnType<typeof objects.CONTROL.getByName> => objects.CONTROL.getByName("control");
/** Somebody is about to sign in, and control looks as often as it then must. */
async function untilAway(away: boolean, speak?: () => void): Promise<void> {
  await later(CALLED_MS, speak);
  await control().providerAway("corp");
  for (let round = 0; round < 6 && (await control().providerAway("corp")) !== away; round++) {
    await later(AGAIN_MS, speak);
    await runDurableObjectAlarm(stubs.CONTROL.getByName("control"));
    for (let turn = 0; turn < 20; turn++) await laneOf().status();
  }
  expect(await control().providerAway("corp")).toBe(away);
}

describe.each([
  ["keep", ["http", "tcp", "websocket"], { GET: "200", POST: "200" }],
  ["{ keep: 60s }", ["http", "tcp", "websocket"], { GET: "200", POST: "200" }],
  ["{ read_only: 60s }", ["http"], { GET: "200", POST: "identity_lost" }],
  ["read_only", ["http"], { GET: "200", POST: "identity_lost" }],
  ["cut", [], { GET: "identity_lost", POST: "identity_lost" }],
])("P19: on_identity_loss: %s", (rule, goesOn, answers) => {
  it(`lets ${goesOn.length === 0 ? "nothing" : goesOn.join(", ")} go on while the provider is away; who signs in meanwhile gets nothing; all is as before once it is back`, async () => {
    const corp = provider();
    await begin(rule, "identity");
    const streams = await live();
    const speak = (): void => void (goesOn.includes("tcp") && streams.agent.write(streams.stream, "still here"));
    corp.down = true;
    const isAsked = rule !== "keep";
    if (isAsked) await untilAway(true, speak);
    await eventually(async () => JSON.stringify(await streams.open()) === JSON.stringify(goesOn));
    expect({ GET: await asked("wiki", "GET"), POST: await asked("wiki", "POST") }).toEqual(answers);
    const before = sid;
    ahead += 1;
    sid = await signedIn(userId(1));
    expect(await asked()).toBe(isAsked ? "identity_lost" : "200");
    sid = before;
    if (rule.includes("60s")) {
      for (let round = 0; round < 3; round++) await later(20_000, speak);
      expect(await asked()).toBe("identity_lost");
      await runDurableObjectAlarm(sessionStub(sid));
      connector.write("a byte after it");
      await eventually(async () => (await streams.open()).length === 0);
    }
    if (!goesOn.includes("tcp") || rule.includes("60s")) {
      expect(await streams.closed).toBe(4403);
      expect(await streams.agent.answer(streams.stream.id, ["closed"])).toMatchObject({ code: "policy" });
    }
    corp.down = false;
    if (isAsked) await untilAway(false, rule.includes("60s") ? undefined : speak);
    expect({ GET: await asked("wiki", "GET"), POST: await asked("wiki", "POST") }).toEqual({ GET: "200", POST: "200" });
    const losses = ((await objects.AUDIT.getByName("control").since(0, 1_000)) as readonly { kind: string; data: object }[]).filter(({ kind }) => kind === "loss");
    const part = { part: "identity", provider: "corp" };
    expect(losses.map(({ data }) => data)).toMatchObject(isAsked ? [{ ...part, closed: 3 - goesOn.length }, { ...part, until: expect.any(Number) }] : []);
    // Where no rule needs to know, nobody asks.
    expect(corp.asked > 0).toBe(isAsked);
  });
});

describe("P19: a lane that is replaced while the record is down", () => {
  it("goes on counting from the loss, and says on record whose numbers are missing (M20)", async () => {
    await begin("keep");
    const record = breakRecord();
    expect([await asked(), await asked()]).toEqual(["200", "200"]);
    await eventually(() => record.tried() >= 2);
    await isLost();
    await abortAllDurableObjects();
    connector = await connected();
    await later(LEASE_WAIT_MS + 1);
    expect(await asked()).toBe("audit_lost");
    record.mend();
    await eventually(async () => (await asked()) === "200");
    await eventually(async () => (await records()).some(({ kind, data }) => kind === "loss" && data["writer"] !== undefined));
    await eventually(async () => (await records()).some(({ kind, data }) => kind === "loss" && data["until"] !== undefined));
  });
});

describe("P8, P19: what must be on record first", () => {
  it("a shard that was replaced a moment ago is no loss", async () => {
    await begin("cut");
    expect(await asked()).toBe("200");
    const real = Reflect.get(Audit.prototype, "append") as Audit["append"];
    let failed = 0;
    vi.spyOn(Audit.prototype, "append").mockImplementation(function (this: Audit, ...args) {
      if (args[0] === "direct" || args[2].length === 0 || failed > 0) return real.apply(this, args);
      failed++;
      return Promise.reject(new Error("replaced"));
    });
    expect(await asked()).toBe("200");
    await eventually(() => failed === 1);
    await eventually(async () => (await records()).some(({ kind }) => kind === "decision"));
    expect(await asked()).toBe("200");
  });

  it("a first grant that cannot be stored is refused, whatever the rule", async () => {
    await begin("keep");
    vi.spyOn(Audit.prototype, "append").mockRejectedValue(new Error("down"));
    expect(await asked()).toBe("audit_lost");
  });
});
