import { createServer as createHttp, request } from "node:http";
import { createServer as createHttps } from "node:https";
import { connect as connectTcp, type AddressInfo, type Server, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { HttpExchange } from "../../connector/http-exchange.ts";
import { OriginAgent } from "../../connector/origin-agent.ts";
import { SocketReads } from "../../connector/socket-reads.ts";
import { selfSigned } from "./test-certificate.ts";

const LENGTH = 9_000_001;
const WHOLE = Buffer.from(Uint8Array.from({ length: LENGTH }, (_, at) => (at * 31 + (at >> 12)) % 251));
const DAY_MS = 86_400_000;
const certificate = selfSigned("app.internal", new Date(Date.now() - DAY_MS), new Date(Date.now() + DAY_MS));
const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanUps.splice(0)) clean();
});

type Kind = "plain" | "TLS";

/** An origin of WHOLE, and sockets to it that read into our memory. */
async function origin(kind: Kind, send: (out: { write(bytes: Buffer): boolean; end(): unknown; once(event: "drain", go: () => void): unknown }) => void = (out) => void (out.write(WHOLE), out.end())) {
  const answer = (_asked: unknown, out: import("node:http").ServerResponse): void => {
    out.writeHead(200, { "content-length": String(LENGTH) });
    send(out);
  };
  const server: Server = kind === "TLS" ? createHttps(certificate, answer) : createHttp(answer);
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  const sockets: Socket[] = [];
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const dial = (): Promise<Socket> => {
    const reads = new SocketReads();
    const to = { host: "127.0.0.1", port: (server.address() as AddressInfo).port, onread: reads.onread };
    const socket = reads.attach(kind === "TLS" ? connectTls({ rejectUnauthorized: false, ...to }) : connectTcp(to));
    sockets.push(socket);
    return new Promise((done, fail) => {
      socket.once("error", fail);
      socket.once(kind === "TLS" ? "secureConnect" : "connect", () => done(socket));
    });
  };
  return { dial, sockets };
}

/** Exchanges with an origin whose bytes are taken by `take`; `divert` at the first of them. */
function exchange(dial: () => Promise<Socket>, diverts: boolean, take: (bytes: Buffer, hold: () => (() => void) | undefined) => boolean): Promise<string> {
  return new Promise((over) => {
    let begun = false;
    const running: HttpExchange = new HttpExchange(
      { method: "GET", path: "/", headers: [["Host", "app"]], body: { kind: "none" } },
      { agent: new OriginAgent(dial), dial, timeouts: { firstByteMs: 10_000, idleMs: 10_000 } },
      {
        head: () => undefined,
        body: (bytes) => {
          if (diverts && !begun) {
            begun = true;
            // Never while the parser is at it.
            setImmediate(() => running.divert());
          }
          return take(bytes as Buffer, () => running.hold());
        },
        end: () => over("end"),
        failed: ({ kind }) => over(kind),
      },
    );
    running.start();
    cleanUps.push(() => running.destroy());
  });
}

describe.each<Kind>(["plain", "TLS"])("a %s socket that reads into our memory", (kind) => {
  it("gives a parser bytes that stay what they are", async () => {
    const { dial } = await origin(kind);
    const got: Buffer[] = [];
    expect(await exchange(dial, false, (bytes) => (got.push(bytes), true))).toBe("end");
    expect(Buffer.concat(got).equals(WHOLE)).toBe(true);
  });

  it("serves one request after the other, and several sockets at once, from one buffer", async () => {
    const { dial, sockets } = await origin(kind);
    const agent = new OriginAgent(dial);
    const ask = (): Promise<boolean> => new Promise((done, fail) => {
      const got: Buffer[] = [];
      const call = request({ agent, host: "app", path: "/" }, (answer) => {
        answer.on("data", (bytes: Buffer) => got.push(bytes));
        answer.on("end", () => done(Buffer.concat(got).equals(WHOLE)));
      });
      call.on("error", fail);
      call.end();
    });
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([true, true, true]);
    expect(await ask()).toBe(true);
    expect(sockets).toHaveLength(3);
    agent.destroy();
  });

  it("lends the rest of a body past the parser, unchanged for as long as it is held, and stops while all of it is", async () => {
    const { dial, sockets } = await origin(kind);
    const held: { bytes: Buffer; copy: Buffer; release: () => void }[] = [];
    const got: Buffer[] = [];
    let lent = 0;
    let most = 0;
    const over = exchange(dial, true, (bytes, hold) => {
      const release = hold();
      got.push(Buffer.from(bytes));
      if (release === undefined) return true;
      lent += bytes.length;
      held.push({ bytes, copy: Buffer.from(bytes), release });
      most = Math.max(most, held.length);
      return true;
    });
    const releasing = setInterval(() => {
      const oldest = held.shift();
      if (oldest === undefined) return;
      expect(oldest.bytes.equals(oldest.copy)).toBe(true);
      oldest.release();
    }, 1);
    cleanUps.push(() => clearInterval(releasing));
    expect(await over).toBe("end");
    expect(Buffer.concat(got).equals(WHOLE)).toBe(true);
    expect(lent).toBeGreaterThan(LENGTH / 2);
    expect(most).toBeLessThanOrEqual(kind === "TLS" ? 64 : 3);
    // Its parser missed the rest: it serves no other request.
    expect(sockets[0]?.destroyed).toBe(true);
  });

  it("breaks when the body does, never at a shorter end", async () => {
    const { dial } = await origin(kind, (out) => void (out.write(WHOLE.subarray(0, 6_000_000)), setTimeout(() => (out as unknown as { destroy(): void }).destroy(), 100)));
    expect(await exchange(dial, true, (_bytes, hold) => (hold()?.(), true))).toBe("closed_early");
  });
});
