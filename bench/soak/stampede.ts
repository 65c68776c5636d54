/**
 * A hundred connectors lose their edge at once (SIGKILL, and again after a longer absence) and come
 * back: all of their lanes are up within 30 s of the edge, and requests are answered.
 */
import { join } from "node:path";
import { edgeApi } from "../../start/edge-api.ts";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { type Child, plainEnvironment } from "../../start/processes.ts";
import { seeded } from "../../test/seeded.ts";
import { waitFor } from "../program.ts";
import type { ConnectorsPlan, LanesUp } from "./connectors.ts";
import { startSite, type SoakSite } from "./site.ts";
import { Failures, type Outcome, pause, type Soak, type SoakOptions, within } from "./soak.ts";

const CONNECTORS_COUNT = 100;
const LANES_COUNT = 2;
/** Connectors to a process. */
const TOGETHER_COUNT = 25;
const BACK_WITHIN_MS = 30_000;
const START_WITHIN_MS = 120_000;
/** How long the edge stays away, at most: enough for the waits between attempts to have grown. */
const MAX_AWAY_MS = 15_000;
const RESTARTS_COUNT = 5;

interface Group {
  readonly child: Child;
  up: number;
}

async function startGroup(site: SoakSite, folder: string, number: number, count: number, failures: Failures): Promise<Group> {
  const child = site.stack.processes.start({ name: `connectors-${number}`, argv: [process.execPath, join(import.meta.dirname, "connectors.ts")], env: plainEnvironment(), channel: "ipc" });
  await waitFor(child);
  const group: Group = { child, up: 0 };
  const tokens: string[] = [];
  for (let n = 0; n < count; n++) tokens.push(await edgeApi(site.stack.launcher).enrollToken(site.operatorToken, "office"));
  const started = new Promise<void>((done) => {
    child.process.on("message", (message: Partial<LanesUp> & { readonly started?: number; readonly failed?: string }) => {
      if (message.up !== undefined) group.up = message.up;
      if (message.failed !== undefined) failures.add(message.failed);
      if (message.started !== undefined || message.failed !== undefined) done();
    });
  });
  child.process.send({ edge: site.stack.launcher, folder: join(folder, `group-${number}`), tokens } satisfies ConnectorsPlan);
  await started;
  return group;
}

async function run({ minutes, seed, scale, folder, say }: SoakOptions): Promise<Outcome> {
  const random = seeded(seed);
  const count = Math.max(2, Math.round(CONNECTORS_COUNT * scale));
  const failures = new Failures();
  const site = await startSite({ folder, lanes: LANES_COUNT, services: 1, withoutConnectors: true });
  const until = performance.now() + minutes * 60_000;
  const back: number[] = [];
  try {
    const groups: Group[] = [];
    for (let left = count, number = 0; left > 0; left -= TOGETHER_COUNT, number++) groups.push(await startGroup(site, folder, number, Math.min(left, TOGETHER_COUNT), failures));
    const up = (): number => groups.reduce((sum, group) => sum + group.up, 0);
    const all = count * LANES_COUNT;
    if (!(await within(START_WITHIN_MS, () => up() === all))) failures.add(`${up()} of ${all} lanes came up at first`);
    const restarts = Math.max(1, Math.round(RESTARTS_COUNT * scale));
    for (let restart = 0; restart < restarts && performance.now() < until; restart++) {
      const away = restart === 0 ? 0 : Math.round(random() * MAX_AWAY_MS);
      const edge = site.stack.edge();
      edge.process.kill("SIGKILL");
      await edge.exited;
      if (!(await within(BACK_WITHIN_MS, () => up() === 0))) failures.add(`restart ${restart}: ${up()} lanes never noticed that the edge was gone`);
      await pause(away);
      await site.stack.restartEdge();
      const since = performance.now();
      if (!(await within(BACK_WITHIN_MS, () => up() === all))) failures.add(`restart ${restart}, ${away} ms away: ${up()} of ${all} lanes were back after ${BACK_WITHIN_MS} ms`);
      back.push(performance.now() - since);
      const answer = await loopbackFetch(`http://${site.host}/after/${restart}`, { headers: { authorization: `Bearer ${site.tokens[0]}` } });
      if (answer.status !== 200 || answer.text !== `/after/${restart}`) failures.add(`restart ${restart}: the first request got ${answer.status}`);
      say(`restart ${restart}: away for ${away} ms, all ${all} lanes back after ${Math.round(back.at(-1) ?? 0)} ms`);
    }
    return { n: back.length * count, failures: failures.lines, figures: { connectors: count, lanes: LANES_COUNT, restarts: back.length, back_worst_ms: Math.max(...back) } };
  } finally {
    await site.stop();
  }
}

export const stampede: Soak = { name: "stampede", about: "100 connectors whose edge is killed are all back within 30 s of it", minutes: 5, run };
