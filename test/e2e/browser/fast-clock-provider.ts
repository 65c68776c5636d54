/**
 * Process of a demo provider whose clock is an hour ahead: reports its port, then takes its
 * settings. For the test of a wrong clock only.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { DemoProviderOptions } from "../../../start/demo-provider.ts";

const AHEAD_MS = 3_600_000;
const real = Date.now.bind(Date);
Date.now = () => real() + AHEAD_MS;

// Loaded only now, so that nothing in it has kept the right clock.
const { demoProvider } = await import("../../../start/demo-provider.ts");
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  process.once("message", (settings: Omit<DemoProviderOptions, "issuer">) => {
    server.on("request", demoProvider({ issuer: `http://127.0.0.1:${port}`, ...settings }));
    process.send?.("ready");
  });
  process.send?.(port);
});
process.once("disconnect", () => process.exit());
