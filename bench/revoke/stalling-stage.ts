/** The stage whose parts can be made unreachable or replaced: another entry of the Worker, and something between edge and connector that can hold everything. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { type Stage, startStage } from "./stage.ts";

const PROJECT = join(import.meta.dirname, "../..");
const ENTRY = "test/worker/stalling-worker.ts";

export interface StallingStage extends Stage {
  /** Calls to these objects hang from now on, or replace them (test/worker/stalling-worker.ts); none: all is as usual. */
  readonly stall: (parts: readonly string[]) => Promise<void>;
  /** Nothing passes between edge and connector, either way, and no connection is closed. */
  readonly hold: (isHeld: boolean) => void;
}

/** Passes connections on to the edge while it is not told to hold them. */
async function startHold(): Promise<{ readonly listen: (edgePort: number) => Promise<number>; readonly hold: (isHeld: boolean) => void; readonly close: () => void }> {
  const sockets = new Set<Socket>();
  let isHeld = false;
  let target = 0;
  const server = createServer({ noDelay: true }, (connector) => {
    const edge = connect({ port: target, host: "127.0.0.1", noDelay: true });
    for (const [one, other] of [[connector, edge], [edge, connector]] as const) {
      sockets.add(one);
      one.on("error", () => undefined);
      one.on("close", () => {
        sockets.delete(one);
        // A cut network tells neither end of the other.
        if (!isHeld) other.destroy();
      });
      one.on("data", (chunk: Buffer) => {
        if (!other.write(chunk)) one.pause();
      });
      other.on("drain", () => {
        if (!isHeld) one.resume();
      });
      if (isHeld) one.pause();
    }
  });
  return {
    listen: async (edgePort) => {
      target = edgePort;
      await new Promise<void>((up) => server.listen(0, "127.0.0.1", up));
      return (server.address() as AddressInfo).port;
    },
    hold: (held) => {
      isHeld = held;
      // What was held is lost, as with a network that comes back to other connections.
      for (const socket of sockets) if (held) socket.pause(); else socket.destroy();
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** `number`: there may be several at a time. */
export async function startStallingStage(number: number, say: (line: string) => void): Promise<StallingStage> {
  const wranglerConfig = join(PROJECT, `wrangler.stalling-${process.pid}-${number}.tmp.toml`);
  const text = await readFile(join(PROJECT, "wrangler.toml"), "utf8");
  await writeFile(wranglerConfig, text.replace(/^main = .*/m, `main = "${ENTRY}"`));
  const network = await startHold();
  const release = async (): Promise<void> => {
    network.close();
    await rm(wranglerConfig, { force: true });
  };
  try {
    const stage = await startStage({ say, wranglerConfig, between: network.listen });
    return {
      ...stage,
      stall: async (parts) => {
        const { status } = await loopbackFetch(`${stage.stack.launcher}/.stall/${parts.join(",")}`);
        if (status !== 200) throw new Error(`the parts ${parts.join(", ")} cannot be taken: ${status}`);
      },
      hold: network.hold,
      stop: async () => {
        await stage.stop();
        await release();
      },
    };
  } catch (cause) {
    await release();
    throw cause;
  }
}
