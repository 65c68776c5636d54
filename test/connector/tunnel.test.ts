import type { Socket } from "node:net";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseEndpoint } from "../../connector/allow-list.ts";
import type { AllowRule } from "../../connector/allow-list.ts";
import { Failure } from "../../connector/failure.ts";
import type { AppId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { signKeySet, signSiteConfig } from "../../identity/signed-document.ts";
import { CLOSE_CODES } from "../../protocol/close-codes.ts";
import { DRAIN_ANSWER_MS } from "../../protocol/deadlines.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { connected, echo, edge, fetchLocal, origin } from "./connected-edge.ts";
import { CONNECTOR, SESSION, SITE, must } from "./test-edge.ts";
import type { Ask, EdgeLink, EdgeSettings, TestEdge } from "./test-edge.ts";

describe("the handshake (class L)", () => {
  it("proves the key, checks the edge's, and tells where it listens", async () => {
    const { made, link, running, state } = await echo();
    expect(made.hellos).toBe(1);
    expect(made.problems).toEqual([]);
    expect(await (await link.ask()).head).toMatchObject({ status: 200 });
    expect(JSON.parse(readFileSync(join(state, "runtime.json"), "utf8"))).toMatchObject({ pid: process.pid, metrics: running.metrics });
    expect((await fetchLocal(`${running.metrics}/ready`)).status).toBe(200);
    expect((await fetchLocal(`${running.metrics}/metrics`)).text).toContain('postern_connector_streams_total{app="wiki",kind="http"} 1');
    expect((await fetchLocal(`${running.metrics}/ready`, "evil.example")).status).toBe(403);
  });

  it("counts the streams' bytes by direction, also those of a tunnel that is gone", async () => {
    const url = await origin((_request, response) => void response.end("x".repeat(50_000)));
    const made = await edge();
    made.configure({ id: "wiki", upstreams: [url] });
    const { link, running } = await connected(made);
    const counted = async (direction: string): Promise<number> => Number(new RegExp(`bytes_total\\{direction="${direction}"\\} (\\d+)`).exec((await fetchLocal(`${running.metrics}/metrics`)).text)?.[1]);
    await (await link.ask()).body();
    const [into, out] = [await counted("in"), await counted("out")];
    expect(into).toBeGreaterThan(0);
    expect(out).toBeGreaterThan(50_000);
    expect(out).toBeLessThan(51_000);
    link.socket.terminate();
    await made.link();
    expect([await counted("in"), await counted("out")]).toEqual([into, out]);
  });

  it.each<[string, EdgeSettings, string]>([
    ["a welcome of a foreign key", { foreignWelcome: true }, "edge_unproven"],
    ["a clock ten minutes off", { challengeSkewMs: 600_000 }, "clock"],
    ["a WebSocket that is answered 200", { upgradeStatus: 200 }, "websocket_blocked"],
    ["a WebSocket that a proxy forbids", { upgradeStatus: 403 }, "websocket_blocked"],
    ["a refusal of the edge itself", { upgradeStatus: 403, asEdge: true }, "edge_refused"],
  ])("%s is refused and named", async (_title, settings, code) => {
    const made = await edge(settings);
    const { running, lines } = await made.connector();
    await expect.poll(() => lines.some((line) => line.includes("connect_failed"))).toBe(true);
    expect(lines.filter((line) => line.includes("connect_failed")).map((line) => (JSON.parse(line) as { code: string }).code)).toEqual([code]);
    expect((await fetchLocal(`${running.metrics}/ready`)).status).toBe(503);
    running.drain();
    await running.ended;
  });

  it.each<[string, EdgeSettings, string]>([
    ["revoked", { closeAtOnce: CLOSE_CODES.connector_revoked.code }, "revoked"],
    ["superseded", { closeAtOnce: CLOSE_CODES.superseded.code }, "superseded"],
    ["unknown at the upgrade, as after a revocation", { upgradeStatus: 401, asEdge: true }, "edge_refused"],
    ["410 at the upgrade", { upgradeStatus: 410, asEdge: true }, "edge_refused"],
  ])("%s: ends with exit 1 and never knocks again", async (_title, settings, code) => {
    const made = await edge(settings);
    const { running } = await made.connector();
    const failure = await running.ended.then(() => undefined, (error: unknown) => error);
    expect(failure).toBeInstanceOf(Failure);
    expect(failure).toMatchObject({ code, exit: 1 });
    expect(made.upgrades).toBe(1);
  });
});

describe("every stream-open is judged (M17, row 92)", () => {
  it.each<[string, (link: EdgeLink, made: TestEdge) => Promise<Ask>, string]>([
    ["a wrong MAC", () => Promise.resolve({ spoilMac: true }), "bad_open"],
    ["an unknown admission", () => Promise.resolve({ admission: "x".repeat(43) }), "bad_admission"],
    ["an admission of another key", async (link, made) => ({ admission: await link.admit("wiki", { key: made.otherKey }) }), "bad_admission"],
    ["an expired admission", async (link) => ({ admission: await link.admit("wiki", { at: Date.now() - 60_000 }) }), "bad_admission"],
    ["an admission from the future", async (link) => ({ admission: await link.admit("wiki", { at: Date.now() + 60_000 }) }), "bad_admission"],
    ["an admission of another connector", async (link) => ({ admission: await link.admit("wiki", { connector: "y".repeat(43) }) }), "bad_admission"],
    ["an admission of another site", async (link) => ({ admission: await link.admit("wiki", { site: "paris" }) }), "bad_admission"],
    ["an admission of another app", async (link) => ({ app: "pay", admission: await link.admit("wiki") }), "bad_admission"],
    ["an app that the site does not have", () => Promise.resolve({ app: "other" }), "not_allowed"],
    ["tcp to an http app", () => Promise.resolve({ kind: "tcp" }), "not_allowed"],
  ])("%s is refused, and the next stream is served", async (_title, make, code) => {
    const { made, link } = await echo();
    const stream = await link.ask(await make(link, made));
    expect(await stream.head).toMatchObject({ error: code });
    expect(await stream.done).toBe("end");
    expect(await (await link.ask()).head).toMatchObject({ status: 200 });
  });

  it("a counter that was used is refused", async () => {
    const { link } = await echo();
    expect(await (await link.ask({ n: 1_000 })).head).toMatchObject({ status: 200 });
    expect(await (await link.ask({ n: 1_000 })).head).toMatchObject({ error: "bad_open", detail: "replayed" });
    expect(await (await link.ask({ n: 999 })).head).toMatchObject({ error: "bad_open", detail: "replayed" });
    expect(await (await link.ask({ n: 1_001 })).head).toMatchObject({ status: 200 });
  });

  it("an admission is verified once and serves many streams", async () => {
    const { link } = await echo();
    const admission = await link.admit();
    const heads = await Promise.all(Array.from({ length: 20 }, async () => (await link.ask({ admission })).head));
    expect(heads.every((head) => "status" in head && head.status === 200)).toBe(true);
  });

  it("a stream-open that is no head is refused, and the session goes on", async () => {
    const { link } = await echo();
    const opened = link.mux.open();
    if (!opened.ok) throw new Error(opened.error);
    link.mux.write(opened.value, new Uint8Array(100));
    link.flush();
    expect(await (await link.ask()).head).toMatchObject({ status: 200 });
  });
});

describe("what may be dialled (row 94)", () => {
  const list = (...texts: string[]): AllowRule => ({ kind: "list", endpoints: texts.map((text) => must(parseEndpoint(text))) });

  it.each<[string, string, (port: string) => AllowRule, string[], object]>([
    ["an upstream on the list", "http://app.internal", (port) => list(`app.internal:${port}`, `127.0.0.1:${port}`), ["127.0.0.1"], { status: 200 }],
    ["an upstream not on the list", "http://app.internal", () => list("app.internal:1"), ["127.0.0.1"], { error: "not_allowed", detail: "not_in_allow_list" }],
    ["a name that resolves to loopback", "http://app.internal", (port) => list(`app.internal:${port}`), ["127.0.0.1"], { error: "not_allowed", detail: "forbidden_address loopback" }],
    ["a name with one forbidden address among good ones", "http://app.internal", (port) => list(`app.internal:${port}`), ["10.0.0.1", "169.254.169.254"], { error: "not_allowed", detail: "forbidden_address metadata" }],
    ["a name that resolves to a mapped address", "http://app.internal", () => ({ kind: "site_config" }), ["::ffff:127.0.0.1"], { error: "not_allowed", detail: "forbidden_address embedded" }],
    ["loopback spelled out in the site's configuration", "http://127.0.0.1", () => ({ kind: "site_config" }), [], { status: 200 }],
    ["localhost spelled out in the site's configuration", "http://localhost", () => ({ kind: "site_config" }), ["127.0.0.1"], { status: 200 }],
    ["metadata spelled out in the site's configuration", "http://169.254.169.254", () => ({ kind: "site_config" }), [], { error: "not_allowed", detail: "forbidden_address metadata" }],
    ["loopback in hexadecimal", "http://0x7f.1", () => ({ kind: "site_config" }), ["127.0.0.1"], { error: "not_allowed", detail: "app_not_in_site_config" }],
  ])("%s", async (_title, upstream, allow, addresses, expected) => {
    const port = new URL(await origin((_request, response) => void response.end("ok"))).port;
    const made = await edge();
    made.configure({ id: "wiki", upstreams: [`${upstream}:${port}`] });
    const { link } = await connected(made, allow(port), { resolve: () => Promise.resolve(addresses) });
    expect(await (await link.ask()).head).toMatchObject(expected);
  });

  it("resolves once and dials what it judged (DNS rebinding)", async () => {
    const port = new URL(await origin((_request, response) => void response.end("ok"))).port;
    const made = await edge();
    made.configure({ id: "wiki", upstreams: [`http://localhost:${port}`] });
    let asked = 0;
    const { link } = await connected(made, undefined, { resolve: () => Promise.resolve([asked++ === 0 ? "127.0.0.1" : "169.254.169.254"]) });
    expect(await (await link.ask()).head).toMatchObject({ status: 200 });
    expect(asked).toBe(1);
  });
});

describe("the site's configuration", () => {
  it("is replaced by a newer one, never by an older or a forged one", async () => {
    const { made, link, url } = await echo();
    made.configure({ id: "later", upstreams: [url] });
    link.control({ t: "config", jws: await made.signedConfig(3) });
    await expect.poll(async () => (await link.ask({ app: "later" })).head).toMatchObject({ status: 200 });
    expect(await (await link.ask({ app: "wiki" })).head).toMatchObject({ error: "not_allowed" });
    made.configure({ id: "wiki", upstreams: [url] });
    link.control({ t: "config", jws: await made.signedConfig(2) });
    link.control({ t: "config", jws: await made.signedConfig(9, made.otherKey) });
    expect(await (await link.ask({ app: "wiki" })).head).toMatchObject({ error: "not_allowed" });
    expect(await (await link.ask({ app: "later" })).head).toMatchObject({ status: 200 });
  });

  it("reports an app's health once it is known and when it changes, and uses the first healthy upstream (P25)", async () => {
    let well = true;
    const first = await origin((request, response) => void response.writeHead(request.url === "/health" && !well ? 500 : 200).end("first"));
    const second = await origin((request, response) => void response.writeHead(request.url === "/health" && !well ? 200 : 200).end("second"));
    const made = await edge();
    made.configure({ id: "wiki", upstreams: [first, second], health: { path: "/health", every: 1_000 } }, { id: "solo", upstreams: ["http://127.0.0.1:1"], health: { path: "/", every: 1_000 } });
    const { link } = await connected(made);
    const both = [await link.next("health"), await link.next("health")].sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
    expect(both).toEqual([{ t: "health", app: "solo", up: false, detail: "connect" }, { t: "health", app: "wiki", up: true, detail: "ok" }]);
    expect((await (await link.ask()).body()).toString()).toBe("first");
    well = false;
    await expect.poll(async () => (await (await link.ask()).body()).toString()).toBe("second");
    expect(link.controls.filter(({ t }) => t === "health")).toEqual([]);
  });

  it("CT6: what is known of an app, its health and what its file says, is said anew on each socket", async () => {
    const url = await origin((_request, response) => void response.end("ok"));
    const file = join(temporaryFolder("target"), "wiki.json");
    writeFileSync(file, '{"version": "4.2.1", "critical": 0, "observed_at": "2026-11-20T10:00:00Z"}');
    const made = await edge();
    made.configure({ id: "wiki", upstreams: [url], health: { path: "/", every: 60_000 } });
    const { link } = await connected(made, undefined, { targets: new Map([["wiki" as AppId, file]]) });
    const toldOn = async (on: EdgeLink): Promise<void> => {
      expect(await on.next("target")).toEqual({ t: "target", app: "wiki", version: "4.2.1", critical: 0, at: Date.parse("2026-11-20T10:00:00Z") });
      expect(await on.next("health")).toEqual({ t: "health", app: "wiki", up: true, detail: "ok" });
    };
    await toldOn(link);
    link.socket.terminate();
    await toldOn(await made.link());
  });
});

/** A connector whose app answers "first " and, once it is to finish, "last"; `closed`: the app's socket is. */
async function unfinished() {
  const open = Promise.withResolvers<() => void>();
  const closed = Promise.withResolvers<void>();
  const url = await origin((request, response) => {
    request.socket.on("close", () => closed.resolve());
    response.write("first ");
    open.resolve(() => response.end("last"));
  });
  const made = await edge();
  made.configure({ id: "wiki", upstreams: [url] });
  return { made, closed: closed.promise, finish: async () => (await open.promise)(), ...(await connected(made)) };
}

describe("cuts (M2)", () => {
  it("destroys the origin's socket, forgets the session, then acknowledges", async () => {
    const { link, closed } = await unfinished();
    const admission = await link.admit();
    const stream = await link.ask({ admission });
    await stream.head;
    link.control({ t: "cut", id: "cut1", streams: [stream.id, 99_998], sessions: [SESSION] });
    expect(await link.next("cut_ack")).toEqual({ t: "cut_ack", id: "cut1" });
    expect(await stream.done).toBe("reset");
    await closed;
    expect(await (await link.ask({ admission })).head).toMatchObject({ error: "bad_admission" });
    expect(await (await link.ask()).head).toMatchObject({ status: 200 });
  });

  it("a cut in the same breath as the stream-open leaves nothing running", async () => {
    let requests = 0;
    const url = await origin((_request, response) => {
      requests += 1;
      response.end();
    });
    const made = await edge();
    made.configure({ id: "wiki", upstreams: [url] });
    const { link } = await connected(made);
    const admission = await link.admit();
    const stream = await link.ask({ admission });
    link.control({ t: "cut", id: "cut2", streams: [], sessions: [SESSION] });
    await link.next("cut_ack");
    expect(await stream.head).toMatchObject({ error: "bad_admission" });
    expect(requests).toBe(0);
  });
});

describe("coming and going", () => {
  it("connects anew after the edge drops the socket, on every lane", async () => {
    const made = await edge({ lanes: 2 });
    const { running } = await connected(made);
    const second = await made.link();
    second.socket.terminate();
    const again = await made.link();
    expect(again.lane).toBe(second.lane);
    await expect.poll(async () => (await fetchLocal(`${running.metrics}/ready`)).status).toBe(200);
  });

  it("what the edge changes counts, and is a line in the log, when it cannot be stored: nothing ends by it", async () => {
    const { made, link, lines, url, state } = await echo();
    rmSync(join(state, "connector.json"));
    mkdirSync(join(state, "connector.json"));
    const now = at(Date.now());
    link.control({ t: "keys", jws: await signKeySet({ version: 2, keys: [made.key.publicJwk, made.otherKey.publicJwk] }, made.key, now) });
    await expect.poll(() => lines.filter((line) => line.includes("state_unwritable")).length).toBe(1);
    link.control({ t: "config", jws: await signSiteConfig({ site: SITE, version: 2, config: { apps: [{ id: "wiki", upstreams: [url] }], lanes: 2 } }, made.otherKey, now) });
    expect((await made.link()).lane).toBe(1);
    expect(lines.filter((line) => line.includes("state_unwritable")).length).toBe(2);
    expect(lines.join()).not.toContain(state);
    expect(await (await link.ask()).head).toMatchObject({ status: 200 });
  });

  it("acts on the Close frame without waiting for the end of the TCP connection", async () => {
    const { made, link } = await echo();
    const raw = (link.socket as unknown as { _socket: Socket })._socket;
    link.socket.close(1001);
    raw.end = () => raw;
    raw.destroy = () => raw;
    await made.link();
    expect(made.hellos).toBe(2);
  });

  it("an edge that drains gets a successor at once, and the old tunnel finishes its streams", async () => {
    const { made, link, finish } = await unfinished();
    const stream = await link.ask();
    await stream.head;
    link.control({ t: "drain" });
    const successor = await made.link();
    expect(link.goneAway).toBe(true);
    await finish();
    expect((await stream.body()).toString()).toBe("first last");
    expect(await link.closed).toBe(1001);
    expect(successor.socket.readyState).toBe(successor.socket.OPEN);
  });

  it("drains on request: no new streams, open ones finish, then it ends", async () => {
    const { link, running, state, finish } = await unfinished();
    const stream = await link.ask();
    await stream.head;
    running.drain();
    expect(await link.next("draining")).toEqual({ t: "draining" });
    expect(await link.next("count")).toEqual({ t: "count", opened: 1 });
    await expect.poll(() => link.goneAway).toBe(true);
    expect(link.mux.open()).toMatchObject({ ok: false });
    await finish();
    expect((await stream.body()).toString()).toBe("first last");
    await running.ended;
    expect(() => readFileSync(join(state, "runtime.json"))).toThrow();
  });

  it("does not wait for an edge that says nothing to it: it goes away by itself (FR7)", async () => {
    const { link, running } = await echo({ silentDrain: true });
    await (await link.ask()).body();
    const toldAt = performance.now();
    running.drain();
    await running.ended;
    expect(link.goneAway).toBe(true);
    expect(performance.now() - toldAt).toBeGreaterThan(DRAIN_ANSWER_MS - 50);
    expect(performance.now() - toldAt).toBeLessThan(2 * DRAIN_ANSWER_MS);
  });

  it("a session of frames that makes no sense is closed with a code, and the origin's sockets with it", async () => {
    const { made, link, running, closed } = await unfinished();
    await (await link.ask()).head;
    link.socket.send(Buffer.from([9, 9, 9]));
    expect(await link.closed).toBe(CLOSE_CODES.protocol_error.code);
    await closed;
    await made.link();
    expect((await fetchLocal(`${running.metrics}/metrics`)).text).toContain(`postern_connector_tunnels_closed_total{code="${CLOSE_CODES.protocol_error.code}"} 1`);
  });
});

describe("a malicious edge (rows 77 and 78)", () => {
  const fragments = Buffer.concat([Buffer.from([0x02, 0x00]), ...Array.from({ length: 20_000 }, () => Buffer.from([0x00, 0x01, 0x00]))]);
  it.each<[string, Buffer]>([
    ["a compressed frame that nobody agreed to", Buffer.from([0xc2, 0x01, 0x00])],
    ["a length of 2^63", Buffer.from([0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])],
    ["a message above the cap", Buffer.from([0x82, 0x7f, 0, 0, 0, 0, 0, 0x10, 0, 0])],
    ["a reserved opcode", Buffer.from([0x83, 0x00])],
    ["a masked frame", Buffer.from([0x82, 0x81, 1, 2, 3, 4, 5])],
    ["text that is no UTF-8", Buffer.from([0x81, 0x01, 0xff])],
    ["a close with an impossible code", Buffer.from([0x88, 0x02, 0x00, 0x01])],
    ["a fragmented ping", Buffer.from([0x09, 0x00])],
    ["twenty thousand fragments", fragments],
    ["a control that is not JSON", Buffer.from([0x81, 0x01, 0x7b])],
    ["a second challenge", ((text) => Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]))('{"t":"refuse","code":"x","message":"y"}')],
  ])("%s: the tunnel ends, the connector lives and connects anew", async (_title, bytes) => {
    const { made, link, running } = await echo();
    (link.socket as unknown as { _socket: Socket })._socket.write(bytes);
    const again = await made.link();
    expect(await (await again.ask()).head).toMatchObject({ status: 200 });
    expect((await fetchLocal(`${running.metrics}/healthz`)).status).toBe(200);
  });
});

describe("secrets (row 58)", () => {
  it("no key, admission, header value or path reaches the log or the metrics", async () => {
    const { made, link, lines, running } = await echo();
    const stream = await link.ask({ path: "/secret-path?token=canary1", headers: [["Host", "w"], ["Authorization", "Bearer canary2"], ["Cookie", "canary3"]] });
    await stream.body();
    await (await link.ask({ app: "other", path: "/secret-path", headers: [["Authorization", "canary2"]] })).head;
    const all = lines.join("") + (await fetchLocal(`${running.metrics}/metrics`)).text;
    for (const canary of ["canary", "secret-path", made.connectorKey.privateJwk.d, made.key.privateJwk.d]) expect(all.includes(canary)).toBe(false);
    expect(all).toContain(CONNECTOR);
  });
});
