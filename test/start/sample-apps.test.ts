/** The sample apps: what they show, echo and tick. */
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Server as TcpServer } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { clockApp } from "../../start/sample-clock.ts";
import { echoApp, tcpEcho } from "../../start/sample-echo.ts";
import { helloApp } from "../../start/sample-hello.ts";

const open: (Server | TcpServer)[] = [];
afterEach(() => {
  for (const server of open.splice(0)) {
    server.close();
    if ("closeAllConnections" in server) server.closeAllConnections();
  }
});
async function listening(server: Server | TcpServer): Promise<number> {
  open.push(server);
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  return (server.address() as AddressInfo).port;
}

describe("hello", () => {
  it.each([
    { why: "a good assertion", audience: "hello", forged: false, verified: true },
    { why: "another app's assertion", audience: "wiki", forged: false, verified: false },
    { why: "a forged assertion", audience: "hello", forged: true, verified: false },
  ])("verifies $why: $verified", async ({ audience, forged, verified }) => {
    const [real, other] = await Promise.all([generateKeyPair("EdDSA"), generateKeyPair("EdDSA")]);
    const jwk = { ...(await exportJWK(real.publicKey)), kid: "k", alg: "EdDSA" };
    const launcher = `http://127.0.0.1:${await listening(createServer((_request, response) => response.end(JSON.stringify({ keys: [jwk] }))))}`;
    const port = await listening(createServer(helloApp(launcher)));
    const now = Math.floor(Date.now() / 1_000);
    const assertion = await new SignJWT({ sub: "u_alice", email: "alice@example.com" })
      .setProtectedHeader({ alg: "EdDSA", kid: "k" })
      .setIssuer(launcher)
      .setAudience(audience)
      .setExpirationTime(now + 60)
      .sign(forged ? other.privateKey : real.privateKey);
    const answer = await loopbackFetch(`http://127.0.0.1:${port}/x?y`, { headers: { host: "hello.postern.localhost:8787", "x-postern-assertion": assertion, "x-postern-user": "alice@example.com" } });
    expect(JSON.parse(answer.text)).toMatchObject({ app: "hello", user: "alice@example.com", path: "/x?y", assertion: { verified } });
  });

  it("escapes what it shows", async () => {
    const port = await listening(createServer(helloApp("http://127.0.0.1:1")));
    const answer = await loopbackFetch(`http://127.0.0.1:${port}/%3Cb%3E?<script>`, { headers: { accept: "text/html", "x-postern-user": "<script>alert(1)</script>" } });
    expect(answer.text).not.toContain("<script>");
    expect(answer.text).toContain("Not verified: none was sent");
  });
});

describe("echo", () => {
  it("keeps message boundaries and kinds", async () => {
    const server = createServer();
    echoApp(server);
    const socket = new WebSocket(`ws://127.0.0.1:${await listening(server)}/socket`);
    const got: string[] = [];
    await new Promise<void>((done, fail) => {
      socket.on("error", fail);
      socket.on("open", () => {
        socket.send("one");
        socket.send(Buffer.from([1, 2]));
        socket.send("");
      });
      socket.on("message", (data: Buffer, binary) => {
        got.push(`${binary ? "binary" : "text"}:${data.toString("hex")}`);
        if (got.length === 3) done();
      });
    });
    socket.terminate();
    expect(got).toEqual(["text:6f6e65", "binary:0102", "text:"]);
  });

  it("sends TCP bytes back and closes when the peer does", async () => {
    const socket = connect(await listening(tcpEcho()), "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.end(Buffer.alloc(300_000, 7));
    await new Promise<void>((done, fail) => {
      socket.on("data", (chunk) => chunks.push(chunk));
      socket.on("end", done);
      socket.on("error", fail);
    });
    expect(Buffer.concat(chunks).equals(Buffer.alloc(300_000, 7))).toBe(true);
  });
});

describe("clock", () => {
  it("ticks with both clocks", async () => {
    const port = await listening(createServer(clockApp));
    const answer = await fetch(`http://127.0.0.1:${port}/events`);
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    const reader = answer.body?.getReader();
    const { value } = (await reader?.read()) ?? {};
    await reader?.cancel();
    const line = new TextDecoder().decode(value).split("\n").find((one) => one.startsWith("data: ")) ?? "";
    const tick = JSON.parse(line.slice(6)) as { n: number; monotonic_ns: string; wall: string };
    expect(tick.n).toBe(1);
    expect(BigInt(tick.monotonic_ns) <= process.hrtime.bigint()).toBe(true);
    expect(Number.isNaN(Date.parse(tick.wall))).toBe(false);
  });
});
