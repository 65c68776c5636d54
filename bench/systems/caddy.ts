/**
 * Peer `caddy`: a reverse proxy that asks an identity service about each request (forward_auth), the
 * usual way to put sign-in before an app. The service verifies a signed cookie with jose, as ours
 * would. No tunnel: caddy must reach the app itself.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { plainEnvironment } from "../../start/processes.ts";
import { freePort } from "../../test/start/free-port.ts";
import { waitFor } from "../program.ts";
import { programPath, untilServing, withProcesses } from "./peer.ts";
import type { Ground, System } from "./system.ts";

export async function startCaddy(ground: Ground): Promise<System> {
  const caddy = programPath("caddy");
  return withProcesses(ground, "caddy", async (processes, folder) => {
    const auth = processes.start({ name: "auth", argv: [process.execPath, join(import.meta.dirname, "caddy-auth.ts")], env: plainEnvironment(), channel: "ipc", input: String(ground.sessions) });
    const { port: authPort, cookies } = (await waitFor(auth)) as { readonly port: number; readonly cookies: readonly string[] };
    const port = await freePort();
    const config = join(folder, "Caddyfile");
    await writeFile(
      config,
      `{\n  admin off\n  auto_https off\n  storage file_system ${folder}\n}\nhttp://127.0.0.1:${port} {\n  bind 127.0.0.1\n  forward_auth 127.0.0.1:${authPort} {\n    uri /verify\n    copy_headers X-User\n  }\n  reverse_proxy 127.0.0.1:${ground.origin.http}\n}\n`,
    );
    const child = processes.start({ name: "caddy", argv: [caddy, "run", "--adapter", "caddyfile", "--config", config], env: { ...plainEnvironment(), HOME: folder } });
    const parts = [{ name: "edge", pid: child.pid }, { name: "identity", pid: auth.pid }];
    const host = `127.0.0.1:${port}`;
    await untilServing(port, host, { cookie: cookies[0] ?? "" });
    return { http: { port, host, cookies }, parts: () => parts, stop: () => processes.stopAll() };
  });
}
