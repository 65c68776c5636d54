/**
 * Bodies of 100 MB, 64 at a time, for every route that takes a body, from whoever has no right to send
 * one and from whoever has one to send a small one (class K, row 83): answered without being read to
 * their end, and nothing of them is kept.
 */
import { readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MAX_DOCUMENT_BYTES } from "../../../policy/source.ts";
import { routeTable } from "../../../worker/app.ts";
import { edgeUnderTest, type EdgeUnderTest } from "../corpus/edge-under-test.ts";
import { parseAnswers, type RawAnswer } from "../corpus/raw-client.ts";
import { residentMB } from "../process-use.ts";

const BODY_BYTES = 100_000_000;
const AT_ONCE_COUNT = 64;
const PIECE = Buffer.alloc(64 * 1024, 120);
const CHUNK = Buffer.concat([Buffer.from(`${PIECE.length.toString(16)}\r\n`), PIECE, Buffer.from("\r\n")]);
/** Of one body: what the kernel holds at both ends of a loopback connection (up to 36 MiB on some machines), and what is read up to a cap. */
const MAX_TAKEN_BYTES = BODY_BYTES / 2;
/** Of the 6,400 MB that are offered at once. */
const MAX_GROWTH_MB = 64;
/** The one route with a large cap, read for operators alone: each may come up to it, in pieces and joined. */
const DOCUMENT_PATH = "/.postern/api/v1/policy";
const MAX_DOCUMENTS_GROWTH_MB = MAX_GROWTH_MB + (2 * AT_ONCE_COUNT * MAX_DOCUMENT_BYTES) / 1_000_000;
const DEADLINE_MS = 30_000;

/** The one that reads no body and says so by its answer: whoever signs out may bring what he likes. */
const UNREAD = "/.postern/logout";
/** The same of operators: to cancel takes no words, and where there is nothing to cancel it is done. */
const DONE_UNREAD = "/.postern/api/v1/break-glass/cancel";
const PATHS = [...new Set(routeTable.filter(([method]) => method === "POST").map(([, path]) => path.replace(/^\/(?:launcher|:place)/, "").replace(/:[a-z]+/, "AAAA")))].filter((path) => path !== UNREAD);

let edge: EdgeUnderTest;
let operator: string;
beforeAll(async () => {
  edge = await edgeUnderTest({ apps: `  - { id: closed, site: office, upstream: "http://127.0.0.1:9" }`, policies: "" });
  operator = readFileSync(edge.stack.tokenFile, "utf8").trim();
});
afterAll(() => edge?.stop());

/** What the edge takes. */
const edgeMB = (): number => residentMB(edge.stack.edge().pid);

interface Flooded {
  /** Undefined: the connection was ended without one. */
  readonly answer: RawAnswer | undefined;
  readonly takenBytes: number;
  /** Ended by the edge, not by the deadline. */
  readonly ended: boolean;
}

/** Sends as much of the body as is taken, whatever is answered, until the edge ends the connection. */
function flood(host: string, path: string, headers: string, isChunked: boolean): Promise<Flooded> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port: edge.port });
    let text = "";
    let sent = 0;
    const over = (ended: boolean): void => {
      clearTimeout(timer);
      const takenBytes = socket.bytesWritten - socket.writableLength;
      socket.destroy();
      resolve({ answer: parseAnswers(text, true).answers[0], takenBytes, ended });
    };
    const timer = setTimeout(() => over(false), DEADLINE_MS);
    const write = (): void => {
      while (sent < BODY_BYTES && !socket.destroyed && socket.write(isChunked ? CHUNK : PIECE)) sent += PIECE.length;
    };
    socket.on("connect", () => {
      socket.write(`POST ${path} HTTP/1.1\r\nHost: ${host}\r\n${headers}${isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${BODY_BYTES}`}\r\n\r\n`);
      write();
    });
    socket.on("drain", write);
    socket.on("data", (bytes: Buffer) => (text += bytes.toString("latin1")));
    socket.on("error", () => undefined);
    socket.on("close", () => over(true));
  });
}

const crowd = (host: string, path: string, headers: string, isChunked: boolean): Promise<Flooded[]> => Promise.all(Array.from({ length: AT_ONCE_COUNT }, () => flood(host, path, headers, isChunked)));

function expectUnread(flooded: readonly Flooded[]): void {
  expect(flooded.filter(({ ended }) => !ended)).toEqual([]);
  expect(Math.max(...flooded.map(({ takenBytes }) => takenBytes))).toBeLessThan(MAX_TAKEN_BYTES);
}

function expectRefused(flooded: readonly Flooded[]): void {
  expectUnread(flooded);
  // Who goes on writing after the answer may lose it to the reset of the connection; what is heard is a refusal.
  expect(flooded.flatMap(({ answer }) => (answer === undefined || (answer.status >= 400 && answer.status < 500) ? [] : [answer.status]))).toEqual([]);
}

const FORM = "Content-Type: application/x-www-form-urlencoded\r\n";
const JSON_TYPE = "Content-Type: application/json\r\n";

describe("bodies of 100 MB, 64 at a time", () => {
  it("are known for each route that takes one", () => expect(PATHS.length).toBeGreaterThan(7));

  it.each(PATHS.flatMap((path) => [[path, "a length", false] as const, [path, "chunks", true] as const]))("POST %s with %s: refused unread, nothing kept (row 83)", async (path, _how, isChunked) => {
    const launcher = new URL(edge.stack.launcher).host;
    const before = edgeMB();
    expectRefused(await crowd(launcher, path, FORM, isChunked));
    (path === DONE_UNREAD ? expectUnread : expectRefused)(await crowd(launcher, path, `${JSON_TYPE}Authorization: Bearer ${operator}\r\n`, isChunked));
    expect(edgeMB() - before).toBeLessThan(path === DOCUMENT_PATH ? MAX_DOCUMENTS_GROWTH_MB : MAX_GROWTH_MB);
  });

  it.each([["a length", false], ["chunks", true]] as const)("to an app, by nobody and by who is denied, with %s: refused unread, nothing kept (row 83)", async (_how, isChunked) => {
    const before = edgeMB();
    expectRefused(await crowd(edge.hostOf("closed"), "/", "", isChunked));
    expectRefused(await crowd(edge.hostOf("closed"), "/", edge.bearer, isChunked));
    expect(edgeMB() - before).toBeLessThan(MAX_GROWTH_MB);
  });

  it("to the sign-out, which reads none: nothing kept (row 83)", async () => {
    const before = edgeMB();
    for (const isChunked of [false, true]) expectUnread(await crowd(new URL(edge.stack.launcher).host, UNREAD, FORM, isChunked));
    expect(edgeMB() - before).toBeLessThan(MAX_GROWTH_MB);
  });

  it("and the edge answers as before", async () => {
    expect((await edge.api("/edge-status")).status).toBe(200);
  });
});
