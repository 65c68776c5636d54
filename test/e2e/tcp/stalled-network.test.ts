/** An honest agent behind a network that stalls, with more on its way than the edge holds for one: it is made to come anew, and loses nothing. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { duplexPair } from "node:stream";
import { expect, it, onTestFinished, vi } from "vitest";
import { KnownConnectors } from "../../../agent/known-connectors.ts";
import { StateFolder } from "../../../agent/state-folder.ts";
import { TcpAgent } from "../../../agent/tcp-agent.ts";
import { secureContext } from "../../../channel/secure-stream.ts";
import type { AppId } from "../../../core/ids.ts";
import { generateConnectorKey } from "../../../identity/connector-proof.ts";
import { temporaryState } from "../../start/running-stack.ts";
import { startTcpStage } from "./stage.ts";

/** Each with its least share (RS5) on its way: 25 MiB, above the 20 that one agent's socket may have unread. */
const CROWD = 200;
/** More than the least share, and less of all together than a connector keeps before it sends nothing more (RS14). */
const BYTES = 200_000;

const eventually = (holds: () => boolean | Promise<boolean>): Promise<void> => vi.waitFor(async () => expect(await holds()).toBe(true), { timeout: 30_000, interval: 20 });

/** A network on the way to `port` that brings nothing back while it is `blocked`. */
async function network(port: number): Promise<{ readonly port: number; readonly block: (blocked: boolean) => void; readonly close: () => void }> {
  const sockets = new Set<Socket>();
  const fars = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    fars.add(far);
    for (const one of [near, far]) {
      sockets.add(one);
      one.on("error", () => undefined);
      one.on("close", () => {
        near.destroy();
        far.destroy();
        sockets.delete(one);
        fars.delete(far);
      });
    }
    near.pipe(far);
    far.on("data", (bytes: Buffer) => void near.write(bytes));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    block: (blocked) => {
      for (const far of fars) if (blocked) far.pause(); else far.resume();
    },
    close: () => {
      server.close();
      for (const one of sockets) one.destroy();
    },
  };
}

it("AG8: a crowd of downloads over a network that stalls is closed with 1013, comes back, and every byte arrives", async () => {
  const stage = await startTcpStage();
  onTestFinished(() => stage.end());
  const way = await network(stage.stack.port);
  onTestFinished(way.close);
  const state = temporaryState();
  onTestFinished(state.remove);
  const origin = new URL(stage.stack.launcher);
  origin.port = String(way.port);
  const agent = new TcpAgent({
    edge: { origin, authorities: [], proxyEnvironment: undefined },
    token: () => Promise.resolve(stage.token),
    app: "source" as AppId,
    context: secureContext((await generateConnectorKey(crypto.subtle)).privateJwk),
    known: new KnownConnectors(new StateFolder(state.path), origin.origin, Date.now, []),
    reports: { note: () => undefined },
    random: () => 0.5,
  });
  onTestFinished(() => agent.close());
  const closed = async (): Promise<number | undefined> => {
    const { lanes } = JSON.parse((await stage.operator.call("GET", "/edge-status")).text) as { lanes: [{ counters: Record<string, number> }] };
    return lanes[0].counters["agent_closed_1013"];
  };
  const crowd = Array.from({ length: CROWD }, () => {
    const [local, ours] = duplexPair();
    return { local, carried: agent.carry(ours).then(() => "over", (error: { code: string }) => error.code) };
  });
  // Each has its connection, both ways, before the network stalls.
  await Promise.all(
    crowd.map(async ({ local }) => {
      local.write("1");
      await once(local, "data");
    }),
  );
  way.block(true);
  for (const { local } of crowd) local.write(String(BYTES));
  await eventually(async () => (await closed()) !== undefined);
  way.block(false);
  const sums = await Promise.all(
    crowd.map(async ({ local, carried }) => {
      const hash = createHash("sha256");
      let left = BYTES;
      for await (const part of local as AsyncIterable<Buffer>) {
        hash.update(part.subarray(0, left));
        left -= Math.min(left, part.length);
        if (left === 0) break;
      }
      local.destroy();
      return left === 0 ? hash.digest("hex") : `${left} missing: ${await carried}`;
    }),
  );
  const whole = createHash("sha256").update(Buffer.alloc(BYTES, 7)).digest("hex");
  expect(sums.filter((one) => one !== whole)).toEqual([]);
});
