/**
 * The demo parts as processes: the OpenID provider and the sample apps, told their settings on
 * standard input and asked for their ports. What they are is in idp.ts and sample-apps.ts.
 */
import { join } from "node:path";
import { z } from "zod";
import { canaryPort } from "./canary-port.ts";
import { type DemoPart, isSamplePart, type LocalDocument } from "./document.ts";
import { type Child, logTail, plainEnvironment, type Processes } from "./processes.ts";
import { StartError } from "./start-error.ts";

/** Longest wait for a part to report its ports. */
const PART_TIMEOUT_MS = 20_000;
const Report = z.object({ ports: z.record(z.string(), z.number()) });

export interface DemoPartsOptions {
  readonly processes: Processes;
  readonly document: LocalDocument;
  readonly stateDirectory: string;
  readonly launcher: string;
  /** Secrets by name; the provider's client secret is among them. */
  readonly secrets: Readonly<Record<string, string>>;
}

async function ports(child: Child): Promise<Readonly<Record<string, number>>> {
  let timer: NodeJS.Timeout | undefined;
  const report = await Promise.race([
    new Promise<unknown>((heard) => child.process.once("message", heard)),
    child.exited.then(() => undefined),
    new Promise<undefined>((late) => {
      timer = setTimeout(() => late(undefined), PART_TIMEOUT_MS);
    }),
  ]);
  clearTimeout(timer);
  const parsed = Report.safeParse(report);
  if (!parsed.success) throw new StartError(`${child.name} did not start:\n${await logTail(child)}`, `read ${child.logFile}`);
  return parsed.data.ports;
}

function startPart(options: DemoPartsOptions, name: string, program: string, settings: unknown): Promise<Readonly<Record<string, number>>> {
  return ports(
    options.processes.start({
      name,
      argv: [process.execPath, join(import.meta.dirname, program)],
      env: plainEnvironment(),
      channel: "ipc",
      input: JSON.stringify(settings),
    }),
  );
}

/** Starts the parts that the document names; resolves with the port of each. */
export async function startDemoParts(options: DemoPartsOptions): Promise<Readonly<Partial<Record<DemoPart, number>>>> {
  const { document, launcher, stateDirectory } = options;
  const starts: Promise<Readonly<Record<string, number>>>[] = [];
  const provider = document.providers.find((one) => one.issuer.includes("idp.demo.localhost"));
  if (provider !== undefined) {
    const clientSecret = options.secrets[provider.secretName ?? ""];
    if (clientSecret === undefined) throw new StartError(`the demo provider ${provider.id} has no client_secret`, "add client_secret: { secret: DEMO_CLIENT_SECRET }");
    starts.push(startPart(options, "idp", "idp.ts", { stateFile: join(stateDirectory, "idp.json"), clientId: provider.clientId, clientSecret, launcher, providerId: provider.id }));
  }
  const samples = document.demoParts.filter(isSamplePart);
  if (samples.length > 0) starts.push(startPart(options, "apps", "sample-apps.ts", { stateFile: join(stateDirectory, "apps.json"), launcher, parts: samples }));
  // The connectors run it themselves; it only has to be known where.
  if (document.demoParts.includes("canary")) starts.push(canaryPort(join(stateDirectory, "canary.json")).then((canary) => ({ canary })));
  return Object.assign({}, ...(await Promise.all(starts))) as Readonly<Partial<Record<DemoPart, number>>>;
}
