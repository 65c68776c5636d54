/**
 * The demo's apps through the whole product: who gets in, what a denial says, WebSocket, event
 * stream, a killed edge and a killed connector. Real processes, one stack for the file.
 */
import { get as httpGet, type IncomingMessage } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { type Stack, startStack } from "../../start/stack.ts";
import { FormBrowser } from "../start/form-browser.ts";
import { temporaryState, until } from "../start/running-stack.ts";
import { visit } from "./demo-visit.ts";

const state = temporaryState();
let stack: Stack;
const alice = new FormBrowser();

beforeAll(async () => {
  stack = await startStack({ stateDirectory: state.path, port: 0, environment: {} });
});
afterAll(async () => {
  await stack.stop();
  state.remove();
});

const urlOf = (id: string): string => stack.apps.find((app) => app.id === id)?.url ?? "";
/** What a socket to an app needs: the loopback address and the headers a browser would send. */
const dial = (id: string): { readonly base: string; readonly headers: Record<string, string> } => {
  const { host, origin } = new URL(urlOf(id));
  return { base: `127.0.0.1:${stack.port}`, headers: { host, origin, cookie: alice.cookieHeader(urlOf(id)) } };
};
const masked = (text: string | undefined): string => (text ?? "").replace(/r_[A-Za-z0-9_-]{22}/g, "r_");

describe("the demo", () => {
  it("gives alice hello with a verified assertion", async () => {
    const page = await visit(alice, urlOf("hello"), "alice");
    expect(page?.text).toContain("alice@example.com");
    expect(page?.text).toContain("Verified against the launcher");
  });

  it("tells alice that reports needs a second factor, and takes her in once she gave one", async () => {
    const browser = new FormBrowser();
    await visit(browser, urlOf("hello"), "alice");
    const asked = await visit(browser, urlOf("reports"), "alice");
    expect(asked?.status).toBe(403);
    expect(asked?.text).toContain("second factor");
    const link = /href="([^"]+\/\.postern\/sign-in[^"]*)"/.exec(asked?.text ?? "")?.[1]?.replaceAll("&amp;", "&") ?? "";
    expect((await visit(browser, link, "alice", true))?.text).toContain("You are in the private app <strong>reports</strong>");
    expect((await visit(browser, urlOf("hello"), "alice"))?.text).toContain("alice@example.com");
  });

  it("shows alice the same blank answer for partners as for a host that does not exist", async () => {
    const partners = await visit(alice, urlOf("partners"), "alice");
    const nothing = await visit(alice, urlOf("partners").replace("partners", "nothing"), "alice");
    expect(partners?.status).toBe(nothing?.status);
    expect(masked(partners?.text).replaceAll("partners.", "nothing.")).toBe(masked(nothing?.text));
    expect((await visit(new FormBrowser(), urlOf("partners"), "bob"))?.text).toContain("You are in the private app");
  });

  it("answers an API call without a session 401 JSON, never a redirect", async () => {
    const answer = await loopbackFetch(`${urlOf("hello")}/`, { headers: { accept: "application/json" } });
    expect(answer.status).toBe(401);
    expect(JSON.parse(answer.text)).toMatchObject({ error: { code: expect.any(String), message: expect.any(String), request_id: answer.headers["postern-request-id"] } });
  });

  it("carries WebSocket messages with their boundaries, also after the edge was killed", async () => {
    await visit(alice, urlOf("echo"), "alice");
    const echo = async (): Promise<string[]> => {
      const { base, headers } = dial("echo");
      const socket = new WebSocket(`ws://${base}/socket`, { headers });
      const got: string[] = [];
      try {
        await new Promise<void>((done, fail) => {
          socket.on("error", fail);
          socket.on("close", (code) => fail(new Error(`closed ${code}`)));
          socket.on("open", () => {
            socket.send("one");
            socket.send(Buffer.from([1, 2]));
          });
          socket.on("message", (data: Buffer, binary) => {
            got.push(`${binary ? "binary" : "text"}:${data.toString("hex")}`);
            if (got.length === 2) done();
          });
        });
      } finally {
        socket.terminate();
      }
      return got;
    };
    expect(await echo()).toEqual(["text:6f6e65", "binary:0102"]);
    await stack.restartEdge();
    const connector = stack.connectors[0];
    await until(async () => (await loopbackFetch(`${connector?.metrics}/ready`).catch(() => undefined))?.status === 200, "the connector is back", 20_000);
    expect(await echo()).toEqual(["text:6f6e65", "binary:0102"]);
  });

  it("streams the clock's events as they happen", async () => {
    await visit(alice, urlOf("clock"), "alice");
    const { headers } = dial("clock");
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      httpGet({ host: "127.0.0.1", port: stack.port, path: "/events", headers: { ...headers, accept: "text/event-stream" }, agent: false }, resolve).on("error", reject);
    });
    expect(answer.statusCode).toBe(200);
    let text = "";
    answer.on("error", () => undefined);
    answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
    await until(() => text.includes("id: 2\n"), "the second tick");
    answer.destroy();
    expect(text).toMatch(/"monotonic_ns":"[0-9]+"/);
  });

  it("answers 5xx, not for ever, while no connector is there; nothing restarts a killed one", async () => {
    const connector = stack.connectors[0];
    connector?.child.process.kill("SIGKILL");
    await connector?.child.exited;
    const answer = await loopbackFetch(`${urlOf("hello")}/`, { headers: { accept: "application/json", cookie: alice.cookieHeader(urlOf("hello")) } });
    expect(answer.status).toBeGreaterThanOrEqual(500);
    expect(connector?.child.ended()).toBe(true);
    await expect(loopbackFetch(`${connector?.metrics}/ready`)).rejects.toThrow();
  });
});
