/** Cases of large bodies: whole ones as fast as they go, small requests beside one, and one that nobody takes. */
import type { PacedLoad, PacedResult } from "../load/paced-load.ts";
import { downloadRequest, placeOf, smallRequests, stalledUploadRequest, uploadRequest } from "../load/requests.ts";
import type { TransferLoad, TransferResult } from "../load/transfer-load.ts";
import { perMegabyte, perRequest } from "../measure/metrics.ts";
import { sampled } from "../measure/sample.ts";
import { runProgram } from "../program.ts";
import type { System } from "../systems/system.ts";
import { warmUp } from "./small-requests.ts";
import { BULK_SYSTEMS, type Case, httpOf, MB } from "./case.ts";

/** One body after the other, each as fast as it goes, beside small requests. */
const BESIDE_BYTES = 200 * MB;
const BESIDE_REQUESTS_PER_SECOND = 200;
const BESIDE_CONNECTIONS_COUNT = 8;
/** The bulk body is under way before the small requests begin, and still after them. */
const LEAD_SECONDS = 0.4;
const STALLED_BYTES = 1024 ** 3;

const pause = (seconds: number): Promise<void> => new Promise((wake) => setTimeout(wake, seconds * 1000));

/** `parallel` bodies of `megabytes` each, all at once. */
export function transfer(direction: "down" | "up", parallel: number, megabytes: number): Case {
  return {
    name: `${direction === "down" ? "download" : "upload"}-${parallel}`,
    systems: BULK_SYSTEMS,
    warmUp,
    sample: async (system, pace) => {
      const bytes = megabytes * (pace.tiny ? MB / 100 : MB);
      const load: TransferLoad = { ...placeOf(httpOf(system)), direction, bytes, parallel, request: (direction === "down" ? downloadRequest : uploadRequest)(httpOf(system), bytes) };
      const { result, used } = await sampled(system.parts(), () => runProgram<TransferResult>("transfer-load.ts", load).done);
      return { MBps: result.bytes / MB / result.seconds, errors: result.errors, ...perMegabyte(used, result.bytes / MB) };
    },
  };
}

const besideLoad = (system: System, seconds: number): PacedLoad => ({ ...placeOf(httpOf(system)), requests: smallRequests(httpOf(system)), perSecond: BESIDE_REQUESTS_PER_SECOND, seconds, connections: BESIDE_CONNECTIONS_COUNT });

/** Small requests at a steady rate, alone and while a download goes as fast as it can. */
export const duringDownload: Case = {
  name: "http-1k-during-download",
  systems: ["workerd-proxy", "floor", "postern", "ssh-R"],
  warmUp,
  sample: async (system, pace) => {
    const seconds = pace.tiny ? 0.2 : pace.seconds;
    const alone = await runProgram<PacedResult>("paced-load.ts", besideLoad(system, seconds)).done;
    const bytes = pace.tiny ? BESIDE_BYTES / 100 : BESIDE_BYTES;
    const bulk = runProgram<TransferResult>("transfer-load.ts", { ...placeOf(httpOf(system)), direction: "down", bytes, parallel: 1, request: downloadRequest(httpOf(system), bytes), seconds: seconds + 2 * LEAD_SECONDS } satisfies TransferLoad);
    await pause(LEAD_SECONDS);
    const { result, used } = await sampled(system.parts(), () => runProgram<PacedResult>("paced-load.ts", besideLoad(system, seconds)).done);
    const moved = await bulk.done;
    return {
      p50_ms: result.p50us / 1000,
      p99_ms: result.p99us / 1000,
      p99_alone_ms: alone.p99us / 1000,
      MBps: moved.bytes / MB / moved.seconds,
      errors: result.errors + alone.errors + moved.errors,
      generator_late_p99_ms: result.late99us / 1000,
      foreign_cores: used.foreignCores,
    };
  },
};

/** A body of 1 GiB that its receiver stops taking: what the processes grow by, and what others notice. */
export function stalled(direction: "down" | "up"): Case {
  return {
    name: `stalled-${direction === "down" ? "download" : "upload"}`,
    systems: ["floor", "postern"],
    mostRounds: 2,
    warmUp,
    sample: async (system, pace) => {
      const seconds = pace.tiny ? 0.2 : pace.seconds;
      const alone = await runProgram<PacedResult>("paced-load.ts", besideLoad(system, seconds)).done;
      const { result, used } = await sampled(system.parts(), async () => {
        const request = direction === "down" ? downloadRequest(httpOf(system), STALLED_BYTES) : stalledUploadRequest(httpOf(system), STALLED_BYTES);
        const bulk = runProgram("transfer-load.ts", { ...placeOf(httpOf(system)), direction, bytes: STALLED_BYTES, parallel: 1, request, ...(direction === "down" ? { bytesPerSecond: 0 } : {}) } satisfies TransferLoad);
        await pause(LEAD_SECONDS);
        const beside = await runProgram<PacedResult>("paced-load.ts", besideLoad(system, seconds)).done;
        bulk.end();
        await bulk.done.catch(() => undefined);
        return beside;
      });
      const { cpu_us_per_request: _cpu, cpu_us_per_request_edge: _edge, cpu_us_per_request_connector: _connector, ...memory } = perRequest(used, 1);
      return { p99_ms: result.p99us / 1000, p99_alone_ms: alone.p99us / 1000, errors: result.errors + alone.errors, ...memory };
    },
  };
}
