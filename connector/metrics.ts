/**
 * Counters and gauges of the running connector and their Prometheus text form (exposition format
 * 0.0.4). Labels come from our own closed lists and app ids, never from request data.
 */
export interface Metrics {
  /** Adds to a counter. */
  count(name: CounterName, labels?: Labels, by?: number): void;
  /** Sets a gauge. */
  gauge(name: GaugeName, value: number, labels?: Labels): void;
  /** Calls `report` before each text, for what is cheaper to ask than to count; the answer stops it. */
  onScrape(report: () => void): () => void;
  /** The whole of it as Prometheus text. */
  text(): string;
}

type Labels = Readonly<Record<string, string>>;

const HELP = {
  postern_connector_streams_total: "Streams opened by the edge, by app and kind.",
  postern_connector_streams_refused_total: "Streams refused by the connector, by reason.",
  postern_connector_upstream_errors_total: "Failures of origins, by code.",
  postern_connector_bytes_total: "Payload bytes of streams, heads included, by direction (in: towards the app).",
  postern_connector_frames_total: "Frames and streams out of the ordinary, by kind: refused, resetSent, resetReceived, late, ignored, overruns, pings.",
  postern_connector_tunnels_closed_total: "Tunnels that ended, by close code.",
  postern_connector_reattached_total: "TCP streams that an agent took up again, by app.",
  postern_connector_detached_ended_total: "TCP streams that ended without an agent, by code.",
  postern_connector_streams_detached: "TCP streams that wait for their agent.",
  postern_connector_segments_total: "Pieces of bulk bodies carried beside the tunnel, by direction and outcome.",
  postern_connector_cuts_total: "Cuts carried out for revocations.",
  postern_connector_connects_total: "Connections to the edge, by outcome.",
  postern_connector_lane_up: "1 if the lane is welcomed by the edge.",
  postern_connector_streams_open: "Streams open now, by lane.",
  postern_connector_upstream_healthy: "1 if the upstream passes its health check.",
  postern_connector_resident_bytes: "Resident memory of the process.",
} as const;

type MetricName = keyof typeof HELP;
type CounterName = Extract<MetricName, `${string}_total`>;
type GaugeName = Exclude<MetricName, CounterName>;

/** Most label sets of one metric: bounds the memory that a changing configuration can take. */
const LABEL_SETS_PER_METRIC = 500;

export function createMetrics(): Metrics {
  const reports = new Set<() => void>();
  const series = new Map<MetricName, Map<string, number>>();
  const at = (name: MetricName): Map<string, number> => {
    const found = series.get(name);
    if (found !== undefined) return found;
    const made = new Map<string, number>();
    series.set(name, made);
    return made;
  };
  const put = (name: MetricName, labels: Labels, change: (old: number) => number): void => {
    const key = keyOf(labels);
    const values = at(name);
    if (!values.has(key) && values.size >= LABEL_SETS_PER_METRIC) return;
    values.set(key, change(values.get(key) ?? 0));
  };
  return {
    count: (name, labels = {}, by = 1) => put(name, labels, (old) => old + by),
    gauge: (name, value, labels = {}) => put(name, labels, () => value),
    onScrape: (report) => {
      reports.add(report);
      return () => void reports.delete(report);
    },
    text: () => {
      for (const report of reports) report();
      put("postern_connector_resident_bytes", {}, () => process.memoryUsage.rss());
      let out = "";
      for (const [name, values] of series) {
        out += `# HELP ${name} ${HELP[name]}\n# TYPE ${name} ${name.endsWith("_total") ? "counter" : "gauge"}\n`;
        for (const [labels, value] of values) out += `${name}${labels} ${value}\n`;
      }
      return out;
    },
  };
}

/** A label set that a caller keeps is rendered once. */
const rendered = new WeakMap<Labels, string>();

function keyOf(labels: Labels): string {
  const known = rendered.get(labels);
  if (known !== undefined) return known;
  const key = render(labels);
  rendered.set(labels, key);
  return key;
}

function render(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, "_")}"`);
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}
