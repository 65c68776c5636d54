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
  /** The ratio, or the figure itself where it stands alone. */
  readonly is: number;
  readonly met: boolean;
}

/** The goals whose figures are there. */
export function verdicts(rows: readonly Row[]): Verdict[] {
  return GOALS.flatMap((goal) => {
    const value = (system: string, metric: string): number | undefined => rows.find((row) => row.case === goal.case && row.metric === metric && row.system === system)?.value;
    const { beside } = goal;
    const ours = value("postern", goal.metric);
    const other = beside === undefined ? 1 : "system" in beside ? value(beside.system, goal.metric) : value("postern", beside.metric);
    if (ours === undefined || other === undefined) return [];
    const is = ours / other;
    return [{ goal, is, met: goal.bound === "at least" ? is >= goal.limit : is <= goal.limit }];
  });
}

/** What a goal is about, what it stands beside, what is, what must be. */
export function goalCells({ goal, is, met }: Verdict): [string, string, string, string, string, string] {
  const beside = goal.beside === undefined ? "" : "system" in goal.beside ? goal.beside.system : `its own ${goal.beside.metric}`;
  return [goal.case, goal.metric, beside, is.toFixed(2), `${goal.bound} ${Number(goal.limit.toFixed(2))}`, met ? "met" : "NOT MET"];
}

export function goalTable(found: readonly Verdict[]): string {
  return found.length === 0 ? "no goal can be judged from these systems" : grid([["goal", "", "beside", "is", "must be", ""], ...found.map(goalCells)]);
}
