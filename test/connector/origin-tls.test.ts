import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { afterEach, describe, expect, it } from "vitest";
import type { SiteAppTls } from "../../core/site-config.ts";
import { selfSigned } from "./test-certificate.ts";
import { TestEdge } from "./test-edge.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

const DAY_MS = 86_400_000;
const ours = selfSigned("app.internal", new Date(Date.now() - DAY_MS), new Date(Date.now() + DAY_MS));
const pinOf = (pem: string): string => createHash("sha256").update(new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" })).digest("base64");
const pin = pinOf(ours.cert);
const otherPin = pinOf(selfSigned("x", new Date(), new Date()).cert);

describe("https upstreams are verified (P24)", () => {
  it.each<[string, SiteAppTls, object]>([
    ["by their own authority and server name", { ca: ours.cert, server_name: "app.internal" }, { status: 200 }],
    ["an unknown authority is refused", { server_name: "app.internal" }, { error: "upstream_tls" }],
    ["another name is refused", { ca: ours.cert }, { error: "upstream_tls" }],
    ["the right pin passes", { ca: ours.cert, server_name: "app.internal", pin }, { status: 200 }],
    ["one right pin of several passes", { ca: ours.cert, server_name: "app.internal", pin: [otherPin, pin] }, { status: 200 }],
    ["several wrong pins are refused", { ca: ours.cert, server_name: "app.internal", pin: [otherPin, pinOf(selfSigned("y", new Date(), new Date()).cert)] }, { error: "upstream_tls", detail: "PIN_MISMATCH" }],
    ["a wrong pin is refused", { ca: ours.cert, server_name: "app.internal", pin: otherPin }, { error: "upstream_tls", detail: "PIN_MISMATCH" }],
    ["only verify: false turns it off", { verify: false }, { status: 200 }],
    ["and even then a pin holds", { verify: false, pin: otherPin }, { error: "upstream_tls" }],
  ])("%s", async (_title, tls, expected) => {
    const names: unknown[] = [];
    const server = createServer(ours, (request, response) => {
      names.push("servername" in request.socket ? request.socket.servername : undefined);
      response.end(request.headers.host);
    });
    const sockets = new WebSocketServer({ server });
    sockets.on("connection", (socket) => socket.send("hello"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const edge = await TestEdge.start();
    edge.configure({ id: "wiki", upstreams: [`https://localhost:${(server.address() as AddressInfo).port}`], tls: { ...tls } });
    const { running } = await edge.connector();
    cleanups.push(() => edge.close(), () => running.drain(), () => {
      server.closeAllConnections();
      server.close();
    });
    const link = await edge.link();
    const stream = await link.ask();
    expect(await stream.head).toMatchObject(expected);
    if ("status" in expected) {
      expect((await stream.body()).toString()).toBe("wiki.example");
      expect(names).toEqual(["server_name" in tls ? "app.internal" : "localhost"]);
    }
    // A websocket is dialled by the same rules.
    const upgraded = await (await link.ask({ kind: "websocket" })).head;
    expect(upgraded).toMatchObject("status" in expected ? { status: 101 } : expected);
  });
});
