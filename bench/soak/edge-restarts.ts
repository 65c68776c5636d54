/**
 * The edge is killed (SIGKILL) and started again twenty times, at moments that the seed chooses,
 * under loads of every kind: each load says what must hold for it, and the first request after
 * each restart is answered in time.
 */
import { loopbackFetch } from "../../start/loopback-http.ts";
import { seeded } from "../../test/seeded.ts";
import { freePort } from "../../test/start/free-port.ts";
import type { Load, LoadGround, StartLoad } from "./load.ts";
import { httpLoad } from "./loads/http.ts";
import * as pgbench from "./loads/pgbench.ts";
import { socketsLoad } from "./loads/sockets.ts";
import * as ssh from "./loads/ssh.ts";
import { tcpLoad } from "./loads/tcp.ts";
import { startSite } from "./site.ts";
import { Failures, type Outcome, pause, type Soak, type SoakOptions, within } from "./soak.ts";

const RESTARTS_COUNT = 20;
const LANES_COUNT = 2;
const SERVICES_COUNT = 8;
/** The edge is up again, its connectors are back, and a request is answered. */
const BACK_WITHIN_MS = 30_000;
/** An edge that lived for less than this is killed while things are still coming back. */
const MIN_UP_MS = 300;

/** The loads of this machine, and the ports on which their servers will listen. */
async function loadsHere(say: (line: string) => void): Promise<{ readonly loads: Readonly<Record<string, StartLoad>>; readonly tcpApps: Readonly<Record<string, number>> }> {
  const [shell, postgres] = [await freePort(), await freePort()];
  if (!ssh.isHere()) say("absent: OpenSSH (sshd, ssh, scp); its load is left out");
  if (!pgbench.isHere()) say("absent: PostgreSQL (postgres, pgbench); its load is left out");
  const loads = {
    http: httpLoad,
    sockets: socketsLoad,
    tcp: tcpLoad,
    ...(ssh.isHere() ? { ssh: ssh.sshLoad(shell) } : {}),
    ...(pgbench.isHere() ? { pgbench: pgbench.pgbenchLoad(postgres) } : {}),
  };
  return { loads, tcpApps: { shell, postgres } };
}

async function run({ minutes, seed, scale, folder, say }: SoakOptions): Promise<Outcome> {
  const random = seeded(seed);
  const failures = new Failures();
  const restarts = Math.max(2, Math.round(RESTARTS_COUNT * scale));
  const { loads: wanted, tcpApps } = await loadsHere(say);
  const site = await startSite({ folder, lanes: LANES_COUNT, services: SERVICES_COUNT, tcpApps });
  const ground: LoadGround = { site, folder, scale, minutes, random, say };
  const loads: [string, Load][] = [];
  const back: number[] = [];
  try {
    for (const [name, start] of Object.entries(wanted)) loads.push([name, await start(ground)]);
    const spacing = (minutes * 60_000) / restarts;
    for (let restart = 0; restart < restarts; restart++) {
      await pause(Math.max(MIN_UP_MS, random() * 2 * spacing - (back.at(-1) ?? 0)));
      await site.stack.restartEdge();
      const since = performance.now();
      const answered = await within(BACK_WITHIN_MS, async () => {
        const answer = await loopbackFetch(`http://${site.host}/back/${restart}`, { headers: { authorization: `Bearer ${site.tokens[0]}` }, timeoutMs: 5_000 }).catch(() => undefined);
        return answer?.status === 200 && answer.text === `/back/${restart}`;
      });
      back.push(performance.now() - since);
      if (!answered) failures.add(`restart ${restart}: nothing was answered for ${BACK_WITHIN_MS} ms`);
      say(`restart ${restart + 1} of ${restarts}: answered after ${Math.round(back.at(-1) ?? 0)} ms`);
    }
    await within(minutes * 60_000, () => loads.every(([, load]) => load.finished()));
    const figures: Record<string, number> = { restarts, back_worst_ms: Math.max(...back) };
    for (const [name, load] of loads.splice(0)) {
      const report = await load.stop();
      for (const failure of report.failures) failures.add(`${name}: ${failure}`);
      for (const [key, value] of Object.entries(report.figures)) figures[`${name}_${key}`] = value;
    }
    return { n: restarts, failures: failures.lines, figures };
  } finally {
    for (const [, load] of loads) await load.stop().catch(() => undefined);
    await site.stop();
  }
}

export const edgeRestarts: Soak = { name: "edge-restarts", about: "the edge is killed 20 times under HTTP, WebSockets, TCP, scp of 10 GB, ssh and pgbench", minutes: 15, run };
