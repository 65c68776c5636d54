/** The lines that the product must show: ratios of its figures to those of another system in the same run. */

export interface Goal {
  readonly case: string;
  readonly metric: string;
  readonly beside: string;
  /** `postern` divided by `beside` is at least, or at most, this. */
  readonly bound: "at least" | "at most";
  readonly ratio: number;
}

const goal = (name: string, metric: string, beside: string, bound: Goal["bound"], ratio: number): Goal => ({ case: name, metric, beside, bound, ratio });

export const GOALS: readonly Goal[] = [
  goal("http-1k-c32", "rps", "do-hello", "at least", 0.85),
  goal("http-1k-c32", "rps", "localtunnel", "at least", 1.7),
  goal("http-1k-c32", "cpu_us_per_request", "do-hello", "at most", 2.0),
  goal("http-1k-c32", "cpu_us_per_request", "caddy", "at most", 0.75),
  goal("http-1k-700rps", "p99_ms", "workerd-proxy", "at most", 12),
  goal("http-1k-700rps", "p99_ms", "ssh-R", "at most", 1 / 3),
  goal("download-1", "MBps", "workerd-proxy", "at least", 0.8),
  goal("http-1k-during-download", "p99_ms", "floor", "at most", 1 / 4),
  goal("tcp-1", "MBps", "floor-tcp", "at least", 0.8),
  goal("tcp-1", "MBps", "ssh-R", "at least", 0.4),
  goal("upload-1", "MBps", "workerd-proxy", "at least", 0.65),
];
