/**
 * What a client sees when the way to the app is broken: a code in JSON and on a page, an error
 * instead of a short success (promise 7), and the app again soon after the connector is back.
 */
import { createConnection, createServer as createTcpServer, type Server as TcpServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ERROR_TEXTS } from "../../../core/error-texts.ts";
import type { ErrorCode } from "../../../core/errors.ts";
import { type Child, plainEnvironment } from "../../../start/processes.ts";
import { selfSigned } from "../../connector/test-certificate.ts";
import { freePort } from "../../start/free-port.ts";
import { until } from "../../start/running-stack.ts";
import { type EdgeUnderTest, edgeUnderTest } from "../corpus/edge-under-test.ts";
import { parseAnswers, sendRaw } from "../corpus/raw-client.ts";
import { bytesOf } from "../corpus/corpus.ts";
import { ask, type Answered } from "./http-client.ts";

const servers: TcpServer[] = [];
const sockets = new Set<Socket>();
/** Paths that the app was asked for. */
const asked: string[] = [];
let edge: EdgeUnderTest;

async function listening(server: TcpServer): Promise<number> {
  servers.push(server);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  return (server.address() as AddressInfo).port;
}

/** Answers by path: endless bodies of both framings, half answers, silence. */
function brokenApp(): TcpServer {
  return createTcpServer((socket) => {
    let head = "";
    socket.on("data", (chunk) => {
      head += chunk.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      const path = head.split(" ")[1];
      asked.push(path ?? "");
      head = "";
      switch (path) {
        case "/fine":
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
          break;
        case "/length":
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nsome of it");
          break;
        case "/chunks":
          socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nsome of it\r\n");
          break;
        case "/length-broken":
          socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nsome of it");
          break;
        case "/chunks-broken":
          socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nsome of it\r\n");
          break;
        case "/hang-up":
          socket.end();
          break;
        case "/half-head":
          socket.end("HTTP/1.1 200 OK\r\nContent-");
          break;
        default:
          break;
      }
    });
  });
}

beforeAll(async () => {
  const app = await listening(brokenApp());
  const certificate = selfSigned("localhost", new Date(Date.now() - 86_400_000), new Date(Date.now() + 86_400_000));
  const tls = await listening(createTlsServer({ key: certificate.key, cert: certificate.cert }));
  const plain = await listening(createTcpServer((socket) => socket.once("data", () => socket.end("I speak no HTTP\r\n\r\n"))));
  const apps: Readonly<Record<string, string>> = {
    app: `upstream: "http://127.0.0.1:${app}"`,
    refused: `upstream: "http://127.0.0.1:${await freePort()}"`,
    slow: `upstream: "http://127.0.0.1:${app}", timeouts: { first_byte: 1s }`,
    untrusted: `upstream: "https://127.0.0.1:${tls}", tls: { server_name: localhost }`,
    "not-tls": `upstream: "https://127.0.0.1:${plain}"`,
    nameless: 'upstream: "http://no-such-host.invalid:80"',
    "not-http": `upstream: "http://127.0.0.1:${plain}"`,
    idle: `upstream: "http://127.0.0.1:${app}", timeouts: { idle: 1s }`,
  };
  edge = await edgeUnderTest({
    apps: Object.entries(apps).map(([id, more]) => `  - { id: ${id}, site: office, ${more} }`).join("\n"),
    policies: '  - { id: all, effect: allow, apps: ["*"], when: { service: [probe] } }',
  });
});
afterAll(async () => {
  await edge?.stop();
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
});

const fetchFrom = (id: string, path = "/fine", headers: Record<string, string> = {}): Promise<Answered> => ask(edge.port, edge.hostOf(id), { path, headers: { authorization: `Bearer ${edge.token}`, ...headers } });
/** The heading of a code's page. */
const titleOf = (code: ErrorCode): string => ERROR_TEXTS[code].title.replaceAll("'", "&#39;");
const codeOf = ({ text }: Answered): unknown => (JSON.parse(text) as { error: { code: string } }).error.code;

describe("an app that cannot be reached", () => {
  it.each<readonly [id: string, path: string, status: number, code: ErrorCode]>([
    ["refused", "/fine", 502, "upstream_refused"],
    ["slow", "/never", 504, "upstream_timeout"],
    ["untrusted", "/fine", 502, "upstream_tls"],
    ["not-tls", "/fine", 502, "upstream_tls"],
    ["nameless", "/fine", 502, "upstream_name"],
    ["not-http", "/fine", 502, "upstream_protocol"],
    ["app", "/hang-up", 502, "upstream_reset"],
    ["app", "/half-head", 502, "upstream_reset"],
  ])("%s%s is %i %s, as JSON and as a page", async (id, path, status, code) => {
    const program = await fetchFrom(id, path);
    expect(program.status).toBe(status);
    expect(codeOf(program)).toBe(code);
    const page = await fetchFrom(id, path, { "sec-fetch-mode": "navigate", accept: "text/html" });
    expect(page.status).toBe(status);
    expect(page.headers).toContainEqual(["content-type", expect.stringContaining("text/html")]);
    expect(page.text).toContain(titleOf(code));
    for (const answer of [program, page]) {
      expect(answer.headers).toContainEqual(["cache-control", "no-store"]);
      expect(answer.text, "nothing inside is named").not.toMatch(/127\.0\.0\.1|no-such-host|ECONN|ENOTFOUND/);
    }
  });

  it("answers for the others meanwhile", async () => expect(await fetchFrom("app")).toMatchObject({ status: 200, text: "fine" }));
});

/** Opens a download and resolves once its first bytes are here. */
async function download(id: string, path: string): Promise<{ readonly ended: Promise<string> }> {
  const socket = createConnection({ host: "127.0.0.1", port: edge.port });
  let text = "";
  let begun: () => void = () => undefined;
  const first = new Promise<void>((resolve) => (begun = resolve));
  const deadline = AbortSignal.timeout(20_000);
  const ended = new Promise<string>((resolve, reject) => {
    deadline.addEventListener("abort", () => reject(new Error("the download did not end")));
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (text.includes("some of it")) begun();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(text));
  });
  socket.write(bytesOf(edge, { line: `GET ${path}`, app: id }), "latin1");
  await Promise.race([first, ended]);
  return { ended };
}

/** An answer that began with 200 and is seen to be incomplete; `orNothing`: or the connection ended before it began. */
function expectCutShort(text: string, orNothing = false): void {
  if (orNothing && text === "") return;
  const { answers } = parseAnswers(text, true);
  expect(answers).toMatchObject([{ status: 200, complete: false }]);
  expect("some of it").toContain(answers[0]?.body);
}

describe("an answer that breaks off", () => {
  it.each(["/length-broken", "/chunks-broken"])("at the app (%s) is never a short success", async (path) => expectCutShort(await (await download("app", path)).ended, true));
  it.each(["/length", "/chunks"])("by the idle time of the app (%s) is never a short success", async (path) => expectCutShort(await (await download("idle", path)).ended));
});

describe("a connector that is killed in the middle", () => {
  let replacement: Child | undefined;
  const connector = (): Child => replacement ?? (edge.stack.connectors[0]?.child as Child);

  it.each(["/length", "/chunks"])("download %s: an error at the client, 503 meanwhile, and the app again within 5 s of the restart", async (path) => {
    const running = await download("app", path);
    const killed = connector();
    process.kill(killed.pid, "SIGKILL");
    expectCutShort(await running.ended);
    await killed.exited;

    const meanwhile = await fetchFrom("app");
    expect(meanwhile.status).toBe(503);
    expect(codeOf(meanwhile)).toBe("no_connector");
    expect(meanwhile.headers).toContainEqual(["retry-after", expect.stringMatching(/^\d+$/)]);
    const page = await fetchFrom("app", "/fine", { "sec-fetch-mode": "navigate" });
    expect(page.status).toBe(503);
    expect(page.text).toContain(titleOf("no_connector"));
    expect(page.text).toMatch(/<a [^>]*href="[^"]*\/fine"[^>]*>Try again</);

    const restarted = performance.now();
    const [program, ...rest] = killed.argv;
    replacement = edge.stack.processes.start({ name: "connector-again", argv: [program ?? "", ...rest], env: plainEnvironment() });
    await until(async () => (await fetchFrom("app")).status === 200, "the app answers again", 10_000);
    expect(performance.now() - restarted).toBeLessThan(5_000);
  });

  it("upload: an error at the client, and the app never gets a whole request", async () => {
    const bytes = bytesOf(edge, { line: "POST /never", app: "app", headers: ["Content-Length: 1000000"], body: "x".repeat(1_000) });
    const before = asked.length;
    const answering = sendRaw(edge.port, bytes, { deadlineMs: 20_000 });
    await until(() => asked.length > before, "the upload reached the app");
    const killed = connector();
    process.kill(killed.pid, "SIGKILL");
    const { answers } = await answering;
    expect(answers[0]?.status ?? 502).toBe(502);
    await killed.exited;
    const [program, ...rest] = killed.argv;
    replacement = edge.stack.processes.start({ name: "connector-again", argv: [program ?? "", ...rest], env: plainEnvironment() });
    await until(async () => (await fetchFrom("app")).status === 200, "the app answers again", 10_000);
  });
});
