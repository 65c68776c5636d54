/** `postern drill`: shows on a live deployment that revocation works. Exit 0 only if every connection ended in time and every receipt is complete. */
import type { Command } from "commander";
import { AgentFailure } from "../../agent/agent-failure.ts";
import { type AgentOptions, appId, collect } from "../app-connection.ts";
import { declare, does, type Runner } from "../command.ts";
import { allowLine, CANARY_APP, CANARY_TCP_APP, type CanaryApps, canaryApps, inUse, presentAt, refuseASecondDrill } from "../drill/canary-apps.ts";
import { drill } from "../drill/drill.ts";
import { drillText, faultsText } from "../drill/drill-text.ts";
import { DRILL_SERVICE, DrillToken } from "../drill/drill-token.ts";
import { Failure, usageFailure } from "../failure.ts";
import { type Invocation, operatorClient, show } from "../invocation.ts";

interface Options extends AgentOptions {
  readonly app?: string;
  readonly tcpApp?: string;
  readonly streams: string;
  readonly force?: boolean;
}

const DEFAULT_STREAMS = "3";
/** The canary takes 256 connections. */
const MAX_STREAMS_COUNT = 50;

export function addDrill(program: Command, runner: Runner): void {
  const command = declare(program, "drill", "open connections of every protocol to a canary, revoke them, and report; exit 1 unless all ended as the receipts say")
    .option("--app <app>", `the canary's app for http, sse and websocket; default ${CANARY_APP}`)
    .option("--tcp-app <app>", `its TCP app; default ${CANARY_TCP_APP}, left out where the document has none`)
    .option("--streams <count>", `connections of each protocol, 1 to ${MAX_STREAMS_COUNT}`, DEFAULT_STREAMS)
    .option("--force", "also where others are connected to the canary, or a token of another drill is valid: both are ended")
    .option("--state <dir>", "where the agent keeps its key and known_connectors; default: beside the token file")
    .option("--trust-key <key>", "the team's offline key (site.trust_key) for the canary's site; repeatable, kept", collect, []);
  does<Options>(command, runner, async (_args, options, invocation) => {
    const streams = /^[1-9][0-9]?$/.test(options.streams) ? Number(options.streams) : 0;
    if (streams < 1 || streams > MAX_STREAMS_COUNT) throw usageFailure("--streams is no number of connections", `1 to ${MAX_STREAMS_COUNT}`);
    for (const app of [options.app, options.tcpApp]) if (app !== undefined) appId(app);
    return perform(options, streams, invocation);
  });
}

async function perform(options: Options, streams: number, invocation: Invocation): Promise<number> {
  const { io, secrets } = invocation;
  const force = options.force === true;
  const client = await operatorClient(invocation);
  const apps = await canaryApps(client, options, invocation);
  if (!force) {
    await refuseASecondDrill(client, io.now());
    const present = await presentAt(client, apps);
    if (present.others > 0) throw inUse(apps, present);
  }
  const token = new DrillToken(client, secrets);
  if (force) await token.clear();
  const over = new AbortController();
  const stopped = io.stopped().then((): never => {
    over.abort();
    throw new Failure("drill_stopped", "the drill was stopped", "it was told to; its token is gone, and its connections with it", ["postern drill"]);
  });
  const playing = drill({ client, apps, token, streams, force, agent: options, invocation, signal: over.signal, say: (line) => io.err(`postern: ${line}\n`) });
  try {
    const report = await Promise.race([playing, stopped]);
    show(invocation, report, () => drillText(report));
    if (!report.ok && !invocation.json) io.err(faultsText(report));
    return report.ok ? 0 : 1;
  } catch (error) {
    throw inWords(error, apps);
  } finally {
    over.abort();
    stopped.catch(() => undefined);
    playing.catch(() => undefined);
    await token.remove().catch(() => io.err(`warning: the token of the service ${DRILL_SERVICE} could not be removed; it ends by itself within 10 minutes\nfix: postern revoke service ${DRILL_SERVICE}\n`));
  }
}

/** What the way to the canary says, with what is usually missing. */
function inWords(error: unknown, { web, tcp }: CanaryApps): unknown {
  if (!(error instanceof Failure || error instanceof AgentFailure)) return error;
  const { code, message, why, fix, requestId } = error;
  const also = HINTS[code];
  if (also === undefined) return error;
  const what = also === NOT_LET_IN ? `the app ${web} does not open for the service ${DRILL_SERVICE}` : message;
  return new Failure(code, what, why, [...also(web, tcp ?? CANARY_TCP_APP), ...fix], requestId === undefined ? {} : { requestId });
}

const SILENT = (): readonly string[] => ["is its canary there? postern-connector run --canary HOST:PORT, the upstream of the canary's apps, on each connector of the site"];
const NOT_LET_IN = (web: string, tcp: string): readonly string[] => [allowLine(web, tcp), "postern apply FILE, then this again"];
const HINTS: Readonly<Record<string, (web: string, tcp: string) => readonly string[]>> = {
  denied: NOT_LET_IN,
  not_found: NOT_LET_IN,
  upstream_refused: SILENT,
  upstream_timeout: SILENT,
  not_allowed: SILENT,
  upstream_reset: SILENT,
};
