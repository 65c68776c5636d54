/** The port on loopback at which local connectors have their canary: the one of last time while it is free. */
import { createServer } from "node:net";
import { z } from "zod";
import { listenOnStablePort } from "./stable-port.ts";
import { readPrivateJson, writePrivateJson } from "./state-files.ts";

const Kept = z.object({ port: z.number() });

/** Found free a moment ago; a connector that finds it taken goes on trying. */
export async function canaryPort(stateFile: string): Promise<number> {
  const kept = Kept.safeParse(await readPrivateJson(stateFile));
  const server = createServer();
  const port = await listenOnStablePort(server, kept.success ? kept.data.port : undefined);
  await new Promise((closed) => server.close(closed));
  await writePrivateJson(stateFile, { port });
  return port;
}
