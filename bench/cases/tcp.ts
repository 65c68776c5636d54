/** Cases of TCP through an agent: streams of many bytes, and round trips of few. */
import { placeOf } from "../load/requests.ts";
import type { TcpLoad, TcpResult } from "../load/tcp-load.ts";
import { perMegabyte, perMessage } from "../measure/metrics.ts";
import { sampled } from "../measure/sample.ts";
import { runProgram } from "../program.ts";
import { type Case, MB } from "./case.ts";

const TCP_SYSTEMS = ["direct", "floor-tcp", "postern", "ssh-R", "wireguard-go"];

function streams(name: string, kind: "down" | "up", parallel: number, megabytes: number): Case {
  return {
    name,
    systems: TCP_SYSTEMS,
    sample: async (system, pace) => {
      const entry = await system.tcp?.();
      if (entry === undefined) return undefined;
      const load: TcpLoad = { ...placeOf(entry), kind, bytes: megabytes * (pace.tiny ? MB / 100 : MB), parallel, seconds: 0 };
      const { result, used } = await sampled(entry.parts(), () => runProgram<TcpResult>("tcp-load.ts", load).done);
      return { MBps: result.bytes / MB / result.seconds, errors: result.errors, ...perMegabyte(used, result.bytes / MB) };
    },
  };
}

const roundTrips: Case = {
  name: "tcp-ping",
  systems: TCP_SYSTEMS,
  sample: async (system, pace) => {
    const entry = await system.tcp?.();
    if (entry === undefined) return undefined;
    const load: TcpLoad = { ...placeOf(entry), kind: "ping", bytes: 0, parallel: 1, seconds: pace.tiny ? 0.1 : pace.seconds };
    const { result, used } = await sampled(entry.parts(), () => runProgram<TcpResult>("tcp-load.ts", load).done);
    return { messages_per_s: result.pings / result.seconds, p50_ms: result.p50us / 1000, p99_ms: result.p99us / 1000, errors: result.errors, ...perMessage(used, result.pings) };
  },
};

export const TCP_CASES: readonly Case[] = [streams("tcp-1", "down", 1, 200), streams("tcp-8", "down", 8, 50), streams("tcp-upload-1", "up", 1, 200), roundTrips];
