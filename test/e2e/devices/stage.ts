/** The stage of the device tests: the product with an app of live connections and a TCP app that both ask for a device, people, and their sign-ins at the command line. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { run } from "../../../cli/run.ts";
import type { DeviceReports } from "../../../agent/device-reports.ts";
import type { Stack } from "../../../start/stack.ts";
import type { FormBrowser } from "../../start/form-browser.ts";
import { DEMO_PROVIDER, startOwn, THIS_MACHINE_OPERATES } from "../../start/own-document.ts";
import { temporaryState } from "../../start/running-stack.ts";
import { visit } from "../demo-visit.ts";
import { type Operator, operatorOf } from "../revocation/operator.ts";
import { startStampingOrigin, type StampingOrigin } from "../revocation/stamping-origin.ts";
import { hasOpenSsh, type Shell, startShell } from "../signals/shell.ts";
import { type Person, signIn } from "../sign-in.ts";
import { tcpApp, type TcpApp } from "../tcp/stage.ts";
import { machineAt } from "./machine.ts";

export interface DeviceStage {
  readonly stack: Stack;
  readonly operator: Operator;
  readonly echo: TcpApp;
  readonly origin: StampingOrigin;
  /** Absent where OpenSSH is not installed. */
  readonly shell: Shell | undefined;
  /** Live connections of the app in a browser. */
  readonly stamps: string;
  readonly folder: (name: string) => string;
  /** Somebody in a browser, and their command line, signed in by that browser. */
  readonly person: (user: string) => Promise<{ readonly person: Person; readonly token: string; readonly tokenFile: string }>;
  /** A machine's own side: its state in a folder of its own, or in this one. */
  readonly machine: (folder?: string) => { readonly reports: DeviceReports; readonly folder: string };
  readonly end: () => Promise<void>;
}

export async function startDeviceStage(device: string): Promise<DeviceStage> {
  const state = temporaryState();
  const echo = await tcpApp((socket) => void socket.pipe(socket));
  const origin = await startStampingOrigin();
  const shell = hasOpenSsh ? await startShell(state.path) : undefined;
  const stack = await startOwn(
    state.path,
    `version: 1
domain: postern.localhost
identity:
  providers:
    - ${DEMO_PROVIDER}
sites: [{ id: office, lanes: 1 }]
apps:
  - { id: stamps, site: office, upstream: "${origin.url}" }
  - { id: echo, site: office, upstream: "${echo.url}" }
  - { id: shell, site: office, upstream: "tcp://127.0.0.1:${shell?.port ?? 1}" }
policies:
  - { id: in-order, effect: allow, apps: [stamps, echo, shell], when: { provider: [demo], device: ${device} } }
  - { id: mdm, effect: allow, apps: ["postern:admin"], when: { service: [mdm] }, limits: { role: responder } }
  - ${THIS_MACHINE_OPERATES}
`,
  );
  const urlOf = (id: string): string => stack.apps.find((app) => app.id === id)?.url ?? "";
  let made = 0;
  const folder = (name: string): string => join(state.path, `${name}-${++made}`);
  return {
    stack,
    operator: operatorOf(stack.launcher, stack.tokenFile),
    echo,
    origin,
    shell,
    stamps: urlOf("stamps"),
    folder,
    person: async (user) => {
      const person = await signIn(urlOf("stamps"), user);
      const tokenFile = folder("token");
      const token = await login(stack, tokenFile, person.browser, user);
      return { person, token, tokenFile };
    },
    machine: (at = folder("machine")) => ({ folder: at, reports: machineAt(stack.launcher, at) }),
    end: async () => {
      await stack.stop();
      await origin.close();
      await shell?.stop();
      echo.close();
      state.remove();
    },
  };
}

/** `postern login`, approved in this browser. */
async function login(stack: Stack, tokenFile: string, browser: FormBrowser, user: string): Promise<string> {
  const printed = new PassThrough();
  const shown = new Promise<{ address: string; code: string }>((resolve) => {
    let err = "";
    printed.on("data", (text: Buffer) => {
      err += text.toString();
      const [, address, code] = /Open (\S+)\n.*code (\S+)\n/.exec(err) ?? [];
      if (address !== undefined && code !== undefined) resolve({ address, code });
    });
  });
  const ended = run(["login", "--edge", stack.launcher, "--token-file", tokenFile], {
    out: () => undefined,
    err: (text) => void printed.write(text),
    env: {},
    now: Date.now,
    random: () => new Uint8Array(16),
    stdin: () => Promise.resolve(""),
    duplex: () => new PassThrough(),
    stopped: () => new Promise(() => undefined),
  });
  const { address, code } = await shown;
  await visit(browser, address, user);
  await browser.submit(`${stack.launcher}/.postern/device`, { user_code: code, decision: "approve" });
  if ((await ended) !== 0) throw new Error("the command line was not signed in");
  return readFileSync(tokenFile, "utf8").trim();
}
