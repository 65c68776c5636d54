import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { afterThisTest, connected, edge } from "./connected-edge.ts";
import type { EdgeLink } from "./test-edge.ts";

describe("tcp streams", () => {
  async function tcpApp(onSocket: (socket: Socket) => void): Promise<EdgeLink> {
    const server = createServer({ allowHalfOpen: true }, onSocket);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    afterThisTest(() => server.close());
    const made = await edge();
    made.configure({ id: "pg", upstreams: [`tcp://127.0.0.1:${(server.address() as AddressInfo).port}`] });
    return (await connected(made)).link;
  }

  it("are opaque both ways, with half-close", async () => {
    const link = await tcpApp((socket) => {
      const parts: Buffer[] = [];
      socket.on("data", (part: Buffer) => parts.push(part));
      socket.on("end", () => socket.end(Buffer.concat(parts).reverse()));
    });
    const bytes = Buffer.from(Array.from({ length: 400_000 }, (_, i) => i % 251));
    const stream = await link.ask({ kind: "tcp", app: "pg" });
    expect(await stream.head).toMatchObject({ status: 101 });
    stream.send(bytes);
    stream.end();
    expect((await stream.body()).equals(Buffer.from(bytes).reverse())).toBe(true);
  });

  it("go on towards an app that has ended its own half", async () => {
    const received = Promise.withResolvers<string>();
    const link = await tcpApp((socket) => {
      let text = "";
      socket.end("bye");
      socket.on("data", (part: Buffer) => (text += part.toString()));
      socket.on("end", () => received.resolve(text));
    });
    const stream = await link.ask({ kind: "tcp", app: "pg" });
    expect((await stream.body()).toString()).toBe("bye");
    stream.send(Buffer.from("still here"));
    stream.end();
    expect(await received.promise).toBe("still here");
  });

  it("a reset at the app is a reset at the edge", async () => {
    const link = await tcpApp((socket) => socket.once("data", () => socket.resetAndDestroy()));
    const stream = await link.ask({ kind: "tcp", app: "pg" });
    await stream.head;
    stream.send(new Uint8Array(1));
    expect(await stream.done).toBe("reset");
  });
});
