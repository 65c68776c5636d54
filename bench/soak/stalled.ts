/**
 * One of two connectors is stopped (SIGSTOP): its sockets stay open and nothing comes of it. What may
 * be repeated is answered by the other within the published bound, no request goes to it after that,
 * and it is back once it may run again. The edge, stopped in the same way, is found by its connectors.
 */
import { join } from "node:path";
import { edgeApi } from "../../start/edge-api.ts";
import { startConnector } from "../../start/local-connector.ts";
import { loopbackFetch } from "../../start/loopback-http.ts";
import { KEEP_ALIVE_DEAD_MS, KEEP_ALIVE_MS } from "../../protocol/deadlines.ts";
import { startSite } from "./site.ts";
import { Failures, type Outcome, pause, type Soak, type SoakOptions, within } from "./soak.ts";

/** The lane looks every 2 s while an answer is awaited, and 1 s is its own. */
const SLACK_MS = 5_000;
const LOOPS_COUNT = 4;
const BACK_WITHIN_MS = 60_000;
const SINCE_MS = 100;
/** Once it is found: requests that must not meet it, and what one may take then, whatever else the machine does. */
const AFTER_COUNT = 50;
const AFTER_MS = 5_000;

async function run({ minutes, folder, say }: SoakOptions): Promise<Outcome> {
  const failures = new Failures();
  const site = await startSite({ folder, lanes: 1, services: 1 });
  const until = performance.now() + minutes * 60_000;
  let n = 0;
  let foundMs = 0;
  let leftMs = 0;
  try {
    const { stack } = site;
    const second = await startConnector({ processes: stack.processes, api: edgeApi(stack.launcher), operatorToken: site.operatorToken, site: "office", stateDirectory: join(folder, "second") });
    const connected = async (): Promise<number> => ((await site.api("/edge-status")).json as { lanes: { connectors: unknown[] }[] }).lanes[0]?.connectors.length ?? 0;
    const ask = async (path: string): Promise<{ readonly ok: boolean; readonly ms: number; readonly at: number }> => {
      const at = performance.now();
      const answer = await loopbackFetch(`http://${site.host}${path}`, { headers: { authorization: `Bearer ${site.tokens[0]}` }, timeoutMs: 2 * KEEP_ALIVE_DEAD_MS }).catch(() => undefined);
      return { ok: answer?.status === 200 && answer.text === path, ms: performance.now() - at, at };
    };
    do {
      n++;
      second.child.process.kill("SIGSTOP");
      const stoppedAt = performance.now();
      let isOver = false;
      const all: Awaited<ReturnType<typeof ask>>[] = [];
      const loops = Array.from({ length: LOOPS_COUNT }, async (_, loop) => {
        for (let number = 0; !isOver; number++) {
          all.push(await ask(`/${n}/${loop}/${number}`));
          await pause(SINCE_MS);
        }
      });
      await pause(KEEP_ALIVE_DEAD_MS + SLACK_MS);
      isOver = true;
      await Promise.all(loops);
      if (all.some(({ ok }) => !ok)) failures.add(`${all.filter(({ ok }) => !ok).length} of ${all.length} requests were not answered`);
      foundMs = Math.max(foundMs, ...all.map(({ ms }) => ms));
      if (foundMs > KEEP_ALIVE_DEAD_MS + SLACK_MS) failures.add(`a request on the stopped connector waited ${Math.round(foundMs)} ms`);
      if ((await connected()) !== 1) failures.add("the stopped connector is still there");
      for (let number = 0; number < AFTER_COUNT; number++) {
        const after = await ask(`/found/${n}/${number}`);
        if (!after.ok || after.ms > AFTER_MS) failures.add(`a request met the stopped connector after it was found: ${Math.round(after.ms)} ms`);
      }
      say(`stopped ${Math.round(performance.now() - stoppedAt)} ms: ${all.length} requests, the slowest ${Math.round(foundMs)} ms`);
      second.child.process.kill("SIGCONT");
      if (!(await within(BACK_WITHIN_MS, async () => (await connected()) === 2))) failures.add("it did not come back");

      stack.edge().process.kill("SIGSTOP");
      const metrics = async (): Promise<boolean> => (await loopbackFetch(`${second.metrics}/ready`)).status === 503;
      const edgeStoppedAt = performance.now();
      if (!(await within(KEEP_ALIVE_DEAD_MS + KEEP_ALIVE_MS + SLACK_MS, metrics))) failures.add("the connector believes in an edge that is stopped");
      leftMs = Math.max(leftMs, performance.now() - edgeStoppedAt);
      stack.edge().process.kill("SIGCONT");
      if (!(await within(BACK_WITHIN_MS, async () => (await connected()) === 2))) failures.add("the connectors did not come back to the edge");
      const answer = await ask(`/after/${n}`);
      if (!answer.ok) failures.add("nothing is answered afterwards");
    } while (performance.now() < until);
    return { n, failures: failures.lines, figures: { connector_found_ms: foundMs, edge_found_ms: leftMs } };
  } finally {
    await site.stop();
  }
}

export const stalled: Soak = { name: "stalled", about: "a stopped connector and a stopped edge are found within the published bound", minutes: 1, run };
