/** Cases of small requests: as fast as they are answered, and at a steady rate. */
import type { ClosedLoad, LoadResult } from "../load/closed-load.ts";
import type { PacedLoad, PacedResult } from "../load/paced-load.ts";
import { placeOf, smallRequests } from "../load/requests.ts";
import { wrk } from "../load/wrk.ts";
import { type Metrics, perRequest } from "../measure/metrics.ts";
import { sampled, type Used } from "../measure/sample.ts";
import { runProgram } from "../program.ts";
import type { System } from "../systems/system.ts";
import { type Case, HTTP_SYSTEMS, httpOf, type Pace, TINY_COUNT } from "./case.ts";

const STEADY_PER_SECOND = 700;
const STEADY_CONNECTIONS_COUNT = 8;
/** Each cookie several times; less when that takes too long. */
const WARM_UP_COUNT = 1_000;
const WARM_UP_SECONDS = 1;
const WARM_UP_CONNECTIONS_COUNT = 32;
const EXACT_COUNT = 5_000;
const EXACT_CONNECTIONS_COUNT = 32;
/** The record is written in batches of at most 2 s (DESIGN §3 promise 8). */
const RECORD_DEADLINE_MS = 6_000;
const RECORD_LOOK_MS = 250;

async function closedLoad(load: ClosedLoad, pace: Pace): Promise<LoadResult> {
  return pace.hasWrk && load.count === undefined ? wrk(load) : runProgram<LoadResult>("closed-load.ts", load).done;
}

export async function warmUp(system: System, pace: Pace): Promise<void> {
  if (system.http === undefined) return;
  const load: ClosedLoad = { ...placeOf(system.http), requests: smallRequests(system.http), connections: WARM_UP_CONNECTIONS_COUNT, seconds: WARM_UP_SECONDS, count: pace.tiny ? TINY_COUNT : WARM_UP_COUNT };
  await runProgram<LoadResult>("closed-load.ts", load).done;
}

const metricsOf = (result: LoadResult, used: Used): Metrics => ({
  rps: result.requests / result.seconds,
  p50_ms: result.p50us / 1000,
  p99_ms: result.p99us / 1000,
  errors: result.errors,
  ...perRequest(used, result.requests + result.errors),
});

/** `connections` that each ask again as soon as they were answered. */
export function closed(connections: number): Case {
  const loadFor = (system: System, pace: Pace): ClosedLoad => ({ ...placeOf(httpOf(system)), requests: smallRequests(httpOf(system)), connections, seconds: pace.seconds, ...(pace.tiny ? { count: TINY_COUNT } : {}) });
  return {
    name: `http-1k-c${connections}`,
    systems: HTTP_SYSTEMS,
    warmUp,
    sample: async (system, pace) => {
      const { result, used } = await sampled(system.parts(), () => closedLoad(loadFor(system, pace), pace));
      return metricsOf(result, used);
    },
  };
}

export const steady: Case = {
  name: `http-1k-${STEADY_PER_SECOND}rps`,
  systems: HTTP_SYSTEMS,
  warmUp,
  sample: async (system, pace) => {
    const seconds = pace.tiny ? TINY_COUNT / STEADY_PER_SECOND : pace.seconds;
    const load: PacedLoad = { ...placeOf(httpOf(system)), requests: smallRequests(httpOf(system)), perSecond: STEADY_PER_SECOND, seconds, connections: STEADY_CONNECTIONS_COUNT };
    const { result, used } = await sampled(system.parts(), () => runProgram<PacedResult>("paced-load.ts", load).done);
    return { ...metricsOf(result, used), generator_late_p99_ms: result.late99us / 1000 };
  },
};

/** A known number of requests, and then as many stored decisions: the record is on, and whole, while all of this is measured. */
export const recorded: Case = {
  name: "records",
  systems: ["postern"],
  mostRounds: 1,
  sample: async (system, pace) => {
    const { records } = system;
    if (records === undefined) return undefined;
    const count = pace.tiny ? TINY_COUNT : EXACT_COUNT;
    const settled = async (): Promise<number> => {
      for (let before = -1, stored = await records(); ; before = stored, stored = await records()) {
        if (stored === before) return stored;
        await new Promise((wake) => setTimeout(wake, RECORD_DEADLINE_MS / 2));
      }
    };
    const before = await settled();
    const load: ClosedLoad = { ...placeOf(httpOf(system)), requests: smallRequests(httpOf(system)), connections: EXACT_CONNECTIONS_COUNT, seconds: 60, count };
    const result = await runProgram<LoadResult>("closed-load.ts", load).done;
    const until = performance.now() + RECORD_DEADLINE_MS;
    let stored = 0;
    do {
      await new Promise((wake) => setTimeout(wake, RECORD_LOOK_MS));
      stored = (await records()) - before;
    } while (stored < result.requests && performance.now() < until);
    return { records_per_request: stored / (result.requests + result.errors), errors: result.errors };
  },
};
