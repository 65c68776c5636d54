/** Asks the canaries, once their connections are over, what they heard on them: the app's side of a drill. */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod/mini";
import { CANARY_PATHS, type CanaryHeard } from "../../protocol/canary.ts";
import type { EdgeRoute } from "../edge-route.ts";
import { exchange } from "../http.ts";

const answer = z.object({ canary: z.string(), connections: z.array(z.object({ name: z.string(), open: z.boolean(), heard_at: z.nullable(z.number()) })) });

/** Each request meets one connector of the site, and each of them may have a canary: several at once meet several. */
const AT_ONCE_COUNT = 4;
const TRIES_COUNT = 10;
const AGAIN_MS = 100;
const ASK_MS = 5_000;

/**
 * All that these canaries know of a run's connections, asked again for a while where some are still
 * open. Undefined when not all of them could be asked.
 */
export async function askCanaries(web: EdgeRoute, token: string, run: string, canaries: ReadonlySet<string>): Promise<readonly CanaryHeard[] | undefined> {
  let heard: ReadonlyMap<string, readonly CanaryHeard[]> = new Map();
  for (let tries = 0; tries < TRIES_COUNT; tries++) {
    const answers = await Promise.all(Array.from({ length: AT_ONCE_COUNT }, () => ask(web, token, run)));
    heard = new Map([...heard, ...answers.flatMap((one) => (one === undefined ? [] : [[one.canary, one.connections] as const]))]);
    const isWhole = [...canaries].every((one) => heard.has(one));
    if (isWhole && [...heard.values()].flat().every(({ open }) => !open)) break;
    await sleep(AGAIN_MS);
  }
  return [...canaries].every((one) => heard.has(one)) ? [...heard.values()].flat() : undefined;
}

async function ask(web: EdgeRoute, token: string, run: string): Promise<z.infer<typeof answer> | undefined> {
  try {
    const { status, text } = await exchange(web, { method: "GET", path: `${CANARY_PATHS.heard}?run=${run}`, headers: { authorization: `Bearer ${token}`, accept: "application/json" }, deadlineMs: ASK_MS });
    return status === 200 ? answer.parse(JSON.parse(text)) : undefined;
  } catch {
    // Not known is what the report says then.
    return undefined;
  }
}
