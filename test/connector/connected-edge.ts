/** A connector that is welcomed by a TestEdge, with an app beside it; all of it ends with the test. */
import { once } from "node:events";
import { createServer, get } from "node:http";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach } from "vitest";
import type { AllowRule } from "../../connector/allow-list.ts";
import { TestEdge } from "./test-edge.ts";
import type { EdgeLink, EdgeSettings } from "./test-edge.ts";

const cleanups: (() => void)[] = [];

/** Runs when the test that is running ends. */
export function afterThisTest(clean: () => void): void {
  cleanups.push(clean);
}

afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

/** An http app that answers so; its address. */
export async function origin(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export async function edge(settings: EdgeSettings = {}): Promise<TestEdge> {
  const made = await TestEdge.start(settings);
  cleanups.push(() => made.close());
  return made;
}

/** A connector at that edge, and the edge's side of its first tunnel. */
export async function connected(made: TestEdge, allow?: AllowRule, options: Parameters<TestEdge["connector"]>[1] = {}) {
  const connector = await made.connector(allow, options);
  cleanups.push(() => connector.running.drain());
  return { ...connector, link: await made.link() };
}

/** All of it, with an app that answers "ok". */
export async function echo(settings: EdgeSettings = {}): Promise<{ made: TestEdge; link: EdgeLink; lines: string[]; url: string; running: Awaited<ReturnType<TestEdge["connector"]>>["running"]; state: string }> {
  const url = await origin((_request, response) => void response.end("ok"));
  const made = await edge(settings);
  made.configure({ id: "wiki", upstreams: [url] }, { id: "pay", upstreams: [url] });
  return { made, url, ...(await connected(made)) };
}

/** Asks the connector's own server. */
export function fetchLocal(url: string, host = "127.0.0.1"): Promise<{ status: number; text: string }> {
  return new Promise((done, fail) => {
    get(url, { headers: { host }, agent: false }, (answer) => {
      let text = "";
      answer.on("data", (part: Buffer) => (text += part.toString()));
      answer.on("end", () => done({ status: answer.statusCode ?? 0, text }));
    }).on("error", fail);
  });
}
