/** What a person reads: one table a case, and the goals with their ratios. */
import { GOALS, type Goal } from "./goals.ts";
import type { Row } from "./measure/results.ts";

/** Columns, in this order, where a case has them. */
const COLUMNS = [
  "rps", "messages_per_s", "MBps", "p50_ms", "p99_ms", "p99_alone_ms", "cpu_us_per_request", "cpu_us_per_request_edge", "cpu_us_per_request_connector", "cpu_us_per_message", "cpu_us_per_message_edge",
  "cpu_us_per_message_connector", "cpu_ms_per_MB", "cpu_ms_per_MB_edge", "cpu_ms_per_MB_connector", "cpu_ms_per_MB_agent", "rss_MB", "rss_growth_MB_edge", "rss_growth_MB_connector", "records_per_request", "errors", "foreign_cores",
];
const HEADINGS: Readonly<Record<string, string>> = {
  cpu_us_per_request: "CPU us/req",
  cpu_us_per_request_edge: "edge",
  cpu_us_per_request_connector: "connector",
  cpu_us_per_message: "CPU us/msg",
  cpu_us_per_message_edge: "edge",
  cpu_us_per_message_connector: "connector",
  cpu_ms_per_MB: "CPU ms/MB",
  cpu_ms_per_MB_edge: "edge",
  cpu_ms_per_MB_connector: "connector",
  rss_growth_MB_edge: "edge grew MB",
  rss_growth_MB_connector: "connector grew",
  cpu_ms_per_MB_agent: "agent",
  foreign_cores: "foreign",
};
const SMALL_DECIMALS = 3;
const LARGE = 100;

const shown = (value: number | undefined): string => (value === undefined ? "-" : value >= LARGE ? String(Math.round(value)) : String(Number(value.toFixed(value < 1 ? SMALL_DECIMALS : 2))));

function grid(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_cell, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  ").trimEnd()).join("\n");
}

/** The table of one case. */
export function caseTable(rows: readonly Row[]): string {
  const value = (system: string, metric: string): number | undefined => rows.find((row) => row.system === system && row.metric === metric)?.value;
  const systems = [...new Set(rows.map((row) => row.system))];
  const columns = COLUMNS.filter((metric) => rows.some((row) => row.metric === metric));
  const head = [`${rows[0]?.case} (n=${Math.max(...rows.map((row) => row.n))})`, ...columns.map((metric) => HEADINGS[metric] ?? metric)];
  return grid([head, ...systems.map((system) => [system, ...columns.map((metric) => shown(value(system, metric)))])]);
}

export interface Verdict {
  readonly goal: Goal;
  readonly ratio: number;
  readonly met: boolean;
}

/** The goals whose two figures are there. */
export function verdicts(rows: readonly Row[]): Verdict[] {
  return GOALS.flatMap((goal) => {
    const value = (system: string): number | undefined => rows.find((row) => row.case === goal.case && row.metric === goal.metric && row.system === system)?.value;
    const ours = value("postern");
    const theirs = value(goal.beside);
    if (ours === undefined || theirs === undefined) return [];
    const ratio = ours / theirs;
    return [{ goal, ratio, met: goal.bound === "at least" ? ratio >= goal.ratio : ratio <= goal.ratio }];
  });
}

export function goalTable(found: readonly Verdict[]): string {
  const rows = found.map(({ goal, ratio, met }) => [`${goal.case} ${goal.metric}`, `postern / ${goal.beside}`, ratio.toFixed(2), `${goal.bound} ${Number(goal.ratio.toFixed(2))}`, met ? "met" : "NOT MET"]);
  return rows.length === 0 ? "no goal can be judged from these systems" : grid([["goal", "ratio of", "is", "must be", ""], ...rows]);
}
