/**
 * Many connectors as one process: the real code, each with a key, an enrolment and sockets of its
 * own. Its parent sends where they enrol; it tells how many lanes are up whenever that changes.
 */
import { randomInt } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { enroll } from "../../connector/enroll.ts";
import { createLog } from "../../connector/log.ts";
import { startConnector } from "../../connector/run.ts";

export interface ConnectorsPlan {
  readonly edge: string;
  readonly folder: string;
  /** One-time tokens, one for each. */
  readonly tokens: readonly string[];
}

export interface LanesUp {
  readonly up: number;
  readonly at: number;
}

const up = new Set<string>();
let told = -1;
const tell = (): void => {
  if (up.size === told) return;
  told = up.size;
  process.send?.({ up: told, at: Date.now() } satisfies LanesUp);
};

async function start({ edge, folder, tokens }: ConnectorsPlan, number: number): Promise<void> {
  const state = join(folder, `connector-${number}`);
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const tokenFile = join(state, "token");
  writeFileSync(tokenFile, tokens[number] ?? "", { mode: 0o600 });
  await enroll({ url: edge, tokenFile, allow: { kind: "site_config" }, name: `soak-${number}`, replace: true, state, ca: undefined }, {}, Date.now);
  const log = createLog((line) => {
    const { event, lane } = JSON.parse(line) as { readonly event: string; readonly lane?: number };
    if (event === "lane_ready") up.add(`${number}/${lane}`);
    else if (event === "lane_closed") up.delete(`${number}/${lane}`);
    else return;
    tell();
  }, Date.now);
  const running = await startConnector({ state, metricsPort: 0, ca: undefined, environment: {}, log, now: Date.now, random: () => randomInt(2 ** 32) / 2 ** 32 });
  running.ended.catch((cause: unknown) => process.send?.({ failed: `connector ${number}: ${cause instanceof Error ? cause.message : String(cause)}` }));
}

process.on("message", (plan: ConnectorsPlan) => {
  void (async () => {
    for (const number of plan.tokens.keys()) await start(plan, number);
    process.send?.({ started: plan.tokens.length });
  })().catch((cause: unknown) => process.send?.({ failed: cause instanceof Error ? cause.message : String(cause) }));
});
process.on("disconnect", () => process.exit(0));
process.send?.("ready");
