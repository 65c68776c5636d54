/**
 * Process of the sample private apps: each on a port of its own on loopback, the same one after
 * a restart when it is free. Starts only the apps that the policy document names.
 */
import { createServer } from "node:http";
import type { Server } from "node:net";
import { z } from "zod";
import { readSettings, reportPorts } from "./part-channel.ts";
import { clockApp } from "./sample-clock.ts";
import { echoApp, tcpEcho } from "./sample-echo.ts";
import { helloApp } from "./sample-hello.ts";
import { listenOnStablePort } from "./stable-port.ts";
import { readPrivateJson, writePrivateJson } from "./state-files.ts";

const Settings = z.object({ stateFile: z.string(), launcher: z.string(), parts: z.array(z.enum(["hello", "echo", "clock", "tcp-echo"])) });
type Part = z.infer<typeof Settings>["parts"][number];
const Kept = z.record(z.string(), z.number());

const settings = Settings.parse(await readSettings());

function create(part: Part): Server {
  switch (part) {
    case "hello":
      return createServer(helloApp(settings.launcher));
    case "echo": {
      const server = createServer();
      echoApp(server);
      return server;
    }
    case "clock":
      return createServer(clockApp);
    case "tcp-echo":
      return tcpEcho();
    default:
      return part satisfies never;
  }
}

const kept = Kept.safeParse(await readPrivateJson(settings.stateFile));
const ports: Record<string, number> = {};
for (const part of settings.parts) ports[part] = await listenOnStablePort(create(part), kept.success ? kept.data[part] : undefined);
await writePrivateJson(settings.stateFile, { ...(kept.success ? kept.data : {}), ...ports });
reportPorts(ports);
