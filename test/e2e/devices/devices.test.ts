/**
 * Devices through the whole product: a person's machine is enrolled by their sign-in, an app asks
 * for a machine that is in order, and what a report, an operator or another system says ends live
 * connections of every kind before it is answered.
 */
import { cpSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newLink } from "../../../agent/device-reports.ts";
import type { PostureFacts } from "../../../identity/posture-report.ts";
import { ADMIN_API } from "../../../protocol/paths.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { FormBrowser } from "../../start/form-browser.ts";
import { until } from "../../start/running-stack.ts";
import { type ClientSide, open } from "../revocation/stream-clients.ts";
import { type Person, signIn } from "../sign-in.ts";
import { TestAgent } from "../tcp/agent-client.ts";
import { type AppConnection, appConnection } from "../tcp/app-connection.ts";
import { type DeviceStage, startDeviceStage } from "./stage.ts";

const GOOD: PostureFacts = { disk_encrypted: true, os: "linux" };
const BAD: PostureFacts = { disk_encrypted: false, os: "linux" };

let stage: DeviceStage;
beforeAll(async () => {
  stage = await startDeviceStage("{ registered: true, disk_encrypted: true, max_age: 15m }");
});
afterAll(() => stage.end());

const statusAt = async (person: Person): Promise<number> => (await person.call(`${stage.stamps}/now`)).status;

interface Live {
  readonly web: ClientSide;
  readonly tcp: AppConnection;
  readonly agent: TestAgent;
}

/** A WebSocket in the person's browser and a connection of their agent, both with bytes on them. */
async function live(person: Person, token: string): Promise<Live> {
  const opened = await open("websocket", { port: stage.stack.port, headers: person.headers(stage.stamps), name: "live" });
  if (!opened.ok) throw new Error(`status ${opened.status}`);
  const agent = await TestAgent.connect({ port: stage.stack.port, host: new URL(stage.stack.launcher).host, app: "echo", token });
  const tcp = await appConnection(agent, "echo");
  tcp.local.on("error", () => undefined);
  tcp.local.write("hello");
  await new Promise((resolve) => tcp.local.once("data", resolve));
  return { web: opened.client, tcp, agent };
}

async function expectOver({ web, tcp, agent }: Live): Promise<void> {
  // The app's own socket is gone when the answer is here, but for its loop's next turn.
  await until(() => stage.echo.sockets.size === 0, "the app holds no connection", 250);
  await until(() => web.end !== undefined && tcp.stream.end !== "open", "both ends know", 2_000);
  expect([web.end, tcp.stream.end]).toEqual(["4403", "closed policy"]);
  agent.close();
}

describe("a device", () => {
  it("posture · websocket, tcp: a device opens what asks for one once it is enrolled and in order, and a report that says otherwise ends a live WebSocket and a TCP stream (P15)", async () => {
    const { person, token } = await stage.person("alice");
    expect(await statusAt(person)).toBe(403);
    const { reports } = stage.machine();
    await reports.enrol(token, "laptop");
    expect(await statusAt(person)).toBe(403);
    await reports.report(GOOD);
    expect(await statusAt(person)).toBe(200);
    const first = await live(person, token);
    await reports.report(BAD);
    await expectOver(first);
    expect(await statusAt(person)).toBe(403);
    // In order again, and one that is silent about it counts no more than one that is not in order.
    await reports.report(GOOD);
    const second = await live(person, token);
    await reports.report({ os: "linux" });
    await expectOver(second);
  });

  it("of one person gives another nothing, nor may another enrol its key (row 90)", async () => {
    const [alice, bob] = [await stage.person("alice"), await stage.person("bob")];
    const { reports } = stage.machine();
    await reports.enrol(alice.token, "laptop");
    await reports.report(GOOD);
    expect([await statusAt(alice.person), await statusAt(bob.person)]).toEqual([200, 403]);
    await expect(reports.enrol(bob.token, "mine")).rejects.toMatchObject({ code: "device_barred" });
    expect(await statusAt(bob.person)).toBe(403);
  });

  it("whose key is on two machines is neither's: what is open ends, and the record says why (row 89)", async () => {
    const { person, token } = await stage.person("alice");
    const { reports, folder } = stage.machine();
    const { id } = await reports.enrol(token, "laptop");
    await reports.report(GOOD);
    const open = await live(person, token);
    const copy = stage.folder("copy");
    cpSync(folder, copy, { recursive: true, preserveTimestamps: true });
    await stage.machine(copy).reports.report({ ...GOOD, os: "macos" });
    expect(open.web.endedAt).toBeUndefined();
    await expect(reports.report(GOOD)).rejects.toMatchObject({ code: "device_cloned" });
    await expectOver(open);
    await expect(stage.machine(copy).reports.report(GOOD)).rejects.toMatchObject({ code: "device_barred" });
    expect(await statusAt(person)).toBe(403);
    const listed = JSON.parse((await stage.operator.call("GET", "/devices")).text) as { id: string; state: string; facts: object }[];
    expect(listed.find((one) => one.id === id)).toMatchObject({ state: "cloned", facts: { registered: false } });
  });

  it("device · websocket, tcp: one that is revoked takes along what is open by it, with a receipt that counts it", async () => {
    const { person, token } = await stage.person("alice");
    const { reports } = stage.machine();
    const { id } = await reports.enrol(token, "laptop");
    await reports.report(GOOD);
    const open = await live(person, token);
    expect(await stage.operator.revoke("device", id)).toMatchObject({ kind: "device", found: 2, closed: 2, complete: true });
    await expectOver(open);
    await expect(reports.report(GOOD)).rejects.toMatchObject({ code: "device_barred" });
  });

  it("counts in a browser of its own once its person says so there, and not for somebody else", async () => {
    const { person, token } = await stage.person("alice");
    const { reports } = stage.machine();
    const { id } = await reports.enrol(token, "laptop");
    const other = await signIn(stage.stamps, "alice", { browser: new FormBrowser() });
    const bob = await signIn(stage.stamps, "bob");
    expect([await statusAt(other), await statusAt(bob)]).toEqual([403, 403]);
    const link = await newLink((bytes) => crypto.getRandomValues(new Uint8Array(bytes)));
    await reports.report(GOOD, link.bind);
    const page = `${stage.stack.launcher}/.postern/devices/bind`;
    const fields = { device: id, code: link.code };
    expect((await bob.browser.submit(page, fields)).status).toBe(400);
    const asked = await other.browser.get(`${page}?device=${id}&code=${link.code}`);
    expect(asked.text).toContain("alice@example.com");
    expect(await statusAt(other)).toBe(403);
    expect((await other.browser.submit(page, fields)).text).toContain("This browser counts as your device");
    expect([await statusAt(other), await statusAt(person), await statusAt(bob)]).toEqual([200, 200, 403]);
    // Once.
    expect((await other.browser.submit(page, fields)).status).toBe(400);
    await reports.report(BAD);
    expect([await statusAt(other), await statusAt(person)]).toEqual([403, 403]);
  });

  it("is what another system says it is, too: a verdict ends what is open, and ends itself", async () => {
    const { person, token } = await stage.person("alice");
    const mdm = await stage.operator.createService("mdm");
    const { reports } = stage.machine();
    const { id } = await reports.enrol(token, "laptop");
    const say = async (path: string, facts: object): Promise<{ status: number; text: string }> =>
      loopbackFetch(`${stage.stack.launcher}${ADMIN_API}${path}`, { method: "POST", headers: { authorization: `Bearer ${mdm}`, "content-type": "application/json" }, body: JSON.stringify({ facts }), timeoutMs: 45_000 });
    const verdict = (value: unknown, life: number): object => ({ value, expires_at: new Date(Date.now() + life).toISOString() });
    await reports.report(GOOD);
    const open = await live(person, token);
    const answer = await say(`/devices/${id}/facts`, { disk_encrypted: verdict(false, 60_000) });
    expect([answer.status, JSON.parse(answer.text)]).toEqual([200, { id, found: 2, closed: 2 }]);
    await expectOver(open);
    expect((await say(`/devices/${id}/facts`, { disk_encrypted: null })).status).toBe(200);
    await reports.report(GOOD);
    expect(await statusAt(person)).toBe(200);
    const owner = (JSON.parse((await stage.operator.call("GET", "/devices")).text) as { id: string; owner: string }[]).find((one) => one.id === id)?.owner ?? "";
    expect((await say(`/users/${owner}/facts`, { risk: verdict("high", 60_000) })).status).toBe(200);
    const refused: readonly (readonly [string, object])[] = [
      [`/devices/${id}/facts`, { registered: verdict(true, 60_000) }],
      [`/devices/${id}/facts`, { compliant: verdict({ is: true }, 60_000) }],
      [`/devices/${id}/facts`, { compliant: verdict(true, -1) }],
      [`/devices/${id}/facts`, { compliant: verdict(true, 31 * 86_400_000) }],
      [`/devices/${id}/facts`, { compliant: { value: true } }],
      [`/users/${owner}/facts`, { risk: verdict("some", 60_000) }],
      [`/users/${owner}/facts`, { groups: verdict("admins", 60_000) }],
    ];
    for (const [path, facts] of refused) expect((await say(path, facts)).status, JSON.stringify(facts)).toBe(400);
    // That it is the company's is an operator's to say.
    expect((await say(`/devices/${id}/facts`, { managed: verdict(true, 60_000) })).status).toBe(403);
    expect((await stage.operator.call("POST", `/devices/${id}/facts`, JSON.stringify({ facts: { managed: verdict(true, 60_000) } }))).status).toBe(200);
  });
});
