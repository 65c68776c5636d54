/**
 * What is measured: each case is one load, put on every system that can take it, and the metrics
 * that come of it. Not the systems and not how often.
 */
import type { ClosedLoad, LoadResult } from "./load/closed-load.ts";
import type { PacedLoad, PacedResult } from "./load/paced-load.ts";
import { downloadRequest, smallRequests, uploadRequest } from "./load/requests.ts";
import type { TransferLoad, TransferResult } from "./load/transfer-load.ts";
import { wrk } from "./load/wrk.ts";
import { type Metrics, perMegabyte, perRequest } from "./measure/metrics.ts";
import { sampled } from "./measure/sample.ts";
import { runProgram } from "./program.ts";
import type { System } from "./systems/system.ts";

export interface Pace {
  readonly rounds: number;
  /** Length of a sample of small requests. */
  readonly seconds: number;
  readonly hasWrk: boolean;
  /** A hundredth of everything; only to see that it works. */
  readonly tiny: boolean;
}

export interface Case {
  readonly name: string;
  readonly systems: readonly string[];
  readonly sample: (system: System, pace: Pace) => Promise<Metrics>;
  /** Requests that a sample sent to a system, for comparison with its records. */
  readonly warmUp?: (system: System, pace: Pace) => Promise<void>;
}

const MB = 1_000_000;
const STEADY_PER_SECOND = 700;
const STEADY_CONNECTIONS_COUNT = 8;
const TINY_COUNT = 20;
/** Every system that speaks HTTP. */
const HTTP_SYSTEMS = ["direct", "workerd-proxy", "do-hello", "floor", "postern", "localtunnel", "ssh-R", "caddy"];
/** Those that have a body to send: do-hello has none of any size. */
const BULK_SYSTEMS = HTTP_SYSTEMS.filter((name) => name !== "do-hello");

async function closedLoad(load: ClosedLoad, pace: Pace): Promise<LoadResult> {
  return pace.hasWrk && load.count === undefined ? wrk(load) : runProgram<LoadResult>("closed-load.ts", load).done;
}

function closed(connections: number): Case {
  const loadFor = (system: System, pace: Pace): ClosedLoad => ({
    port: system.http.port,
    requests: smallRequests(system.http),
    connections,
    seconds: pace.seconds,
    ...(pace.tiny ? { count: TINY_COUNT } : {}),
  });
  return {
    name: `http-1k-c${connections}`,
    systems: HTTP_SYSTEMS,
    warmUp: async (system, pace) => void (await closedLoad({ ...loadFor(system, pace), seconds: 1 }, pace)),
    sample: async (system, pace) => {
      const { result, used } = await sampled(system.parts(), () => closedLoad(loadFor(system, pace), pace));
      return { rps: result.requests / result.seconds, p50_ms: result.p50us / 1000, p99_ms: result.p99us / 1000, errors: result.errors, ...perRequest(used, result.requests + result.errors) };
    },
  };
}

const steady: Case = {
  name: `http-1k-${STEADY_PER_SECOND}rps`,
  systems: HTTP_SYSTEMS,
  sample: async (system, pace) => {
    const seconds = pace.tiny ? TINY_COUNT / STEADY_PER_SECOND : pace.seconds;
    const load: PacedLoad = { port: system.http.port, requests: smallRequests(system.http), perSecond: STEADY_PER_SECOND, seconds, connections: STEADY_CONNECTIONS_COUNT };
    const { result, used } = await sampled(system.parts(), () => runProgram<PacedResult>("paced-load.ts", load).done);
    return {
      rps: result.requests / result.seconds,
      p50_ms: result.p50us / 1000,
      p99_ms: result.p99us / 1000,
      errors: result.errors,
      generator_late_p99_ms: result.late99us / 1000,
      ...perRequest(used, result.requests + result.errors),
    };
  },
};

function transfer(direction: "down" | "up", parallel: number, megabytes: number): Case {
  return {
    name: `${direction === "down" ? "download" : "upload"}-${parallel}`,
    systems: BULK_SYSTEMS,
    sample: async (system, pace) => {
      const bytes = megabytes * (pace.tiny ? MB / 100 : MB);
      const load: TransferLoad = { port: system.http.port, direction, bytes, parallel, request: (direction === "down" ? downloadRequest : uploadRequest)(system.http, bytes) };
      const { result, used } = await sampled(system.parts(), () => runProgram<TransferResult>("transfer-load.ts", load).done);
      return { MBps: result.bytes / MB / result.seconds, errors: result.errors, ...perMegabyte(used, result.bytes / MB) };
    },
  };
}

export const CASES: readonly Case[] = [
  closed(1),
  closed(32),
  closed(256),
  steady,
  transfer("down", 1, 200),
  transfer("down", 8, 50),
  transfer("down", 64, 10),
  transfer("up", 1, 200),
  transfer("up", 8, 50),
];
