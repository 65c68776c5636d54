/** From what was used to what is reported: names, units, per request and per megabyte. */
import type { Used } from "./sample.ts";

/** Metric to value, of one sample. */
export type Metrics = Readonly<Record<string, number>>;

const UNITS: readonly (readonly [prefix: string, unit: string])[] = [
  ["rps", "1/s"],
  ["p50_ms", "ms"],
  ["p99_ms", "ms"],
  ["p99_alone_ms", "ms"],
  ["generator_late_p99_ms", "ms"],
  ["MBps", "MB/s"],
  ["messages_per_s", "1/s"],
  ["rss_MB", "MB"],
  ["rss_growth_MB", "MB"],
  ["cpu_us_per_request", "us"],
  ["cpu_us_per_message", "us"],
  ["cpu_ms_per_MB", "ms"],
  ["cpu_ms_per_receipt", "ms"],
  ["foreign_cores", "cores"],
  ["errors", "1"],
  ["records_per_request", "1"],
  ["receipt_closed", "1"],
  ["receipt_unconfirmed", "1"],
  ["receipt_", "ms"],
  ["client_end_", "ms"],
  ["end_", "ms"],
  ["last_byte_ms", "ms"],
  ["bytes_", "B"],
  ["faults", "1"],
];

/** The unit of a metric; one of a part (`cpu_us_per_request_edge`) has that of the whole. */
export const unitOf = (metric: string): string => UNITS.find(([prefix]) => metric.startsWith(prefix))?.[1] ?? "1";

const total = (parts: ReadonlyMap<string, number>): number => [...parts.values()].reduce((sum, value) => sum + value, 0);

function memory(used: Used): Metrics {
  const metrics: Record<string, number> = { rss_MB: total(used.peakMB) };
  for (const [part, value] of used.peakMB) metrics[`rss_MB_${part}`] = value;
  for (const [part, value] of used.grownMB) metrics[`rss_growth_MB_${part}`] = value;
  return metrics;
}

function cpu(name: string, used: Used, per: number): Metrics {
  const metrics: Record<string, number> = { [name]: total(used.cpuUs) / per };
  for (const [part, us] of used.cpuUs) metrics[`${name}_${part}`] = us / per;
  return metrics;
}

/** Together and by process; a system without processes of its own (`direct`) has none of it. */
export function perRequest(used: Used, requests: number): Metrics {
  if (used.cpuUs.size === 0) return { foreign_cores: used.foreignCores };
  return { ...cpu("cpu_us_per_request", used, requests), ...memory(used), foreign_cores: used.foreignCores };
}

export function perMessage(used: Used, messages: number): Metrics {
  if (used.cpuUs.size === 0) return { foreign_cores: used.foreignCores };
  return { ...cpu("cpu_us_per_message", used, messages), ...memory(used), foreign_cores: used.foreignCores };
}

export function perMegabyte(used: Used, megabytes: number): Metrics {
  if (used.cpuUs.size === 0) return { foreign_cores: used.foreignCores };
  return { ...cpu("cpu_ms_per_MB", used, megabytes * 1000), ...memory(used), foreign_cores: used.foreignCores };
}
