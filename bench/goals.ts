/**
 * The lines that the product must show: its figures beside another system's in the same run, beside
 * another figure of its own, or below a bound.
 */

export interface Goal {
  readonly case: string;
  readonly metric: string;
  /** What the figure is divided by: the same of another system, or another metric of the product; absent: nothing. */
  readonly beside?: { readonly system: string } | { readonly metric: string };
  readonly bound: "at least" | "at most";
  readonly limit: number;
}

const ratio = (name: string, metric: string, system: string, bound: Goal["bound"], limit: number): Goal => ({ case: name, metric, beside: { system }, bound, limit });
const grows = (name: string, part: string, mostMB: number): Goal => ({ case: name, metric: `rss_growth_MB_${part}`, bound: "at most", limit: mostMB });
/** Others wait less than twice as long as when nothing stalls. */
const unharmed = (name: string): Goal => ({ case: name, metric: "p99_ms", beside: { metric: "p99_alone_ms" }, bound: "at most", limit: 2 });

export const GOALS: readonly Goal[] = [
  ratio("http-1k-c32", "rps", "do-hello", "at least", 0.85),
  ratio("http-1k-c32", "rps", "localtunnel", "at least", 1.7),
  ratio("http-1k-c32", "cpu_us_per_request", "do-hello", "at most", 2.0),
  ratio("http-1k-c32", "cpu_us_per_request", "caddy", "at most", 0.75),
  ratio("http-1k-700rps", "p99_ms", "workerd-proxy", "at most", 12),
  ratio("http-1k-700rps", "p99_ms", "ssh-R", "at most", 1 / 3),
  ratio("download-1", "MBps", "workerd-proxy", "at least", 0.8),
  ratio("upload-1", "MBps", "workerd-proxy", "at least", 0.65),
  ratio("http-1k-during-download", "p99_ms", "floor", "at most", 1 / 4),
  ratio("tcp-1", "MBps", "floor-tcp", "at least", 0.8),
  ratio("tcp-1", "MBps", "ssh-R", "at least", 0.4),
  { case: "records", metric: "records_per_request", bound: "at least", limit: 1 },
  grows("download-64", "edge", 64),
  grows("stalled-download", "edge", 16),
  grows("stalled-download", "connector", 64),
  grows("stalled-upload", "edge", 64),
  grows("stalled-upload", "connector", 64),
  unharmed("stalled-download"),
  unharmed("stalled-upload"),
];
