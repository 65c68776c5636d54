import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTls } from "node:https";
import { connect, createServer as createTcp } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { diagnose } from "../../connector/diagnose.ts";
import { dialEdge } from "../../connector/edge-dial.ts";
import { edgeRoute } from "../../connector/edge-route.ts";
import { Failure } from "../../connector/failure.ts";
import { trustedAuthorities } from "../../connector/trust.ts";
import { selfSigned } from "./test-certificate.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const folder = temporaryFolder("tls");
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

function certificate(name: string, from: Date, to: Date): { key: string; cert: string; file: string } {
  const made = selfSigned("edge.localhost", from, to);
  const file = join(folder, `${name}.pem`);
  writeFileSync(file, made.cert);
  return { ...made, file };
}

const DAY_MS = 86_400_000;
const good = certificate("good", new Date(Date.now() - DAY_MS), new Date(Date.now() + DAY_MS));
const expired = certificate("expired", new Date(Date.now() - 2 * DAY_MS), new Date(Date.now() - DAY_MS));

async function listening<T extends Server>(server: T): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

const tlsEdge = (which: { key: string; cert: string }): Promise<number> => listening(createTls(which, (_request, response) => void response.end()));

async function codeOf(work: Promise<Socket>, edge: URL, proxied = false): Promise<string> {
  try {
    (await work).destroy();
    return "connected";
  } catch (error) {
    return diagnose(error, edge, proxied).code;
  }
}

describe("the way to the edge", () => {
  it.each<[string, () => typeof good, (ours: typeof good) => string | undefined, string, string]>([
    ["an authority that --ca names", () => good, (ours) => ours.file, "edge.localhost", "connected"],
    ["an unknown authority (a proxy that opens TLS)", () => good, () => undefined, "edge.localhost", "tls_inspected"],
    ["a certificate that is not valid now (a wrong clock)", () => expired, (ours) => ours.file, "edge.localhost", "clock_or_certificate"],
    ["a certificate of another name", () => good, (ours) => ours.file, "other.localhost", "tls_wrong_name"],
  ])("%s", async (_title, which, ca, host, code) => {
    const edge = new URL(`https://${host}:${await tlsEdge(which())}`);
    expect(await codeOf(dialEdge(edgeRoute(edge, {}, ca(which()))), edge)).toBe(code);
  });

  it("a --ca file that cannot be read or holds nothing is a failure, not fewer authorities", () => {
    const empty = join(folder, "empty.pem");
    writeFileSync(empty, "nothing");
    for (const file of [empty, join(folder, "absent")]) expect(() => trustedAuthorities(file)).toThrow(Failure);
    expect(trustedAuthorities(good.file).length).toBe(trustedAuthorities(undefined).length + 1);
  });

  async function proxy(password: string | undefined, refuse?: number): Promise<{ port: number; targets: string[] }> {
    const targets: string[] = [];
    const server = createServer();
    server.on("connect", (request, client: Socket) => {
      targets.push(request.url ?? "");
      const wanted = password === undefined ? undefined : `Basic ${Buffer.from(password).toString("base64")}`;
      if (request.headers["proxy-authorization"] !== wanted) return void client.end("HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n");
      if (refuse !== undefined) return void client.end(`HTTP/1.1 ${refuse} No\r\nContent-Length: 0\r\n\r\n`);
      const target = connect(Number(request.url?.split(":")[1]), "127.0.0.1", () => {
        client.write("HTTP/1.1 200 OK\r\n\r\n");
        client.pipe(target).pipe(client);
      });
      target.on("error", () => client.destroy());
      client.on("error", () => target.destroy());
    });
    return { port: await listening(server), targets };
  }

  it.each<[string, string | undefined, string, number | undefined, string]>([
    ["through it, without credentials", undefined, "", undefined, "connected"],
    ["with the right credentials", "us@er:pass", "us%40er:pass@", undefined, "connected"],
    ["with wrong credentials", "user:pass", "user:wrong@", undefined, "proxy_auth"],
    ["without the credentials that it wants", "user:pass", "", undefined, "proxy_auth"],
    ["refusing the host", undefined, "", 403, "proxy_refused"],
  ])("a proxy, %s", async (_title, password, credentials, refuse, code) => {
    const { port, targets } = await proxy(password, refuse);
    // Not *.localhost, which never goes through a proxy; the proxy maps the name itself.
    const edge = new URL(`https://edge.example:${await tlsEdge(good)}`);
    const route = edgeRoute(edge, { HTTPS_PROXY: `http://${credentials}127.0.0.1:${port}` }, good.file);
    const outcome = await codeOf(dialEdge(route), edge, true);
    expect(outcome).toBe(code === "connected" ? "tls_wrong_name" : code);
    expect(targets).toEqual([edge.host]);
  });

  it("no failure text repeats the proxy's credentials", async () => {
    const { port } = await proxy("user:canary");
    const edge = new URL("https://edge.example");
    const route = edgeRoute(edge, { HTTPS_PROXY: `http://user:canary2@127.0.0.1:${port}` }, undefined);
    const failure = await dialEdge(route).then(() => undefined, (error: unknown) => diagnose(error, edge, true));
    expect(JSON.stringify([failure?.message, failure?.why, failure?.next])).not.toContain("canary");
  });

  it("nobody there", async () => {
    const server = createTcp();
    const port = await listening(server);
    server.close();
    await once(server, "close");
    const edge = new URL(`http://127.0.0.1:${port}`);
    expect(await codeOf(dialEdge(edgeRoute(edge, {}, undefined)), edge)).toBe("unreachable");
  });
});
