/** The figures of docs/freshness.md from the rows of `npm run bench:revoke`: bounds that are met or not, tables, and the plot. */
import type { Results, Row } from "./measure/results.ts";
import { type Panel, plot } from "./plot.ts";
import { brokenBounds } from "./revoke/rows.ts";

const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

const RECEIPT_COLUMNS = ["receipt_p50_ms", "receipt_p99_ms", "receipt_worst_ms", "client_end_worst_ms", "bytes_after_receipt", "bytes_in_flight_at_cut", "cpu_ms_per_receipt_edge", "cpu_ms_per_receipt_connector", "faults", "foreign_cores"];
const PART_COLUMNS = ["last_byte_ms", "end_client_ms", "end_app_ms", "bytes_after_receipt"];

function table(rows: readonly Row[], columns: readonly string[]): string[] {
  const names = [...new Set(rows.map((row) => row.case))];
  const cells = (name: string): string[] => columns.map((metric) => String(rows.find((row) => row.case === name && row.metric === metric)?.value ?? "–"));
  return [line(["case", "n", ...columns.map((metric) => `\`${metric}\``)]), line(["---", "---", ...columns.map(() => "---")]), ...names.map((name) => line([name, String(rows.find((row) => row.case === name)?.n), ...cells(name)])), ""];
}

/** What stands between the page's marks. */
export function freshnessFigures({ machine, commit, date, rows }: Results): string {
  const broken = brokenBounds(rows);
  const has = (metric: string) => (name: string): boolean => rows.some((row) => row.case === name && row.metric === metric);
  const receipts = rows.filter((row) => has("receipt_worst_ms")(row.case));
  const parts = rows.filter((row) => has("end_worst_ms")(row.case));
  const isMain = (name: string): boolean => /\/(?:1|100|1000)$/.test(name);
  return [
    `Commit \`${commit}\`, ${date.slice(0, 10)}, ${Object.entries(machine).map(([name, value]) => `${name} ${value}`).join(", ")}.`,
    "",
    "![Receipts by signal, protocol and live connections, as bars](images/freshness.svg)",
    "",
    ...(broken.length === 0 ? ["Every bound is met."] : ["**Not met:**", "", ...broken.map((one) => `- ${one}`)]),
    "",
    ...(receipts.some((row) => isMain(row.case)) ? ["A session that is revoked, a policy that takes the app away (signal/protocol/live):", "", ...table(receipts.filter((row) => isMain(row.case)), RECEIPT_COLUMNS)] : []),
    ...(receipts.some((row) => !isMain(row.case)) ? ["Every other signal, with ten live connections:", "", ...table(receipts.filter((row) => !isMain(row.case)), RECEIPT_COLUMNS)] : []),
    ...(parts.length === 0 ? [] : ["A part that cannot be reached or is replaced while a person is revoked; milliseconds after the call:", "", ...table(parts, PART_COLUMNS)]),
  ].join("\n").trimEnd();
}

const MAIN = ["session", "policy"];
const LIVE = [1, 100, 1_000];

/** Receipts as bars: a panel for each main signal and number of connections, a bar a protocol. */
export function freshnessPlot(rows: readonly Row[]): string {
  const panels = LIVE.flatMap((live) => MAIN.map((signal): Panel => ({ title: `${signal}, ${live} live: ${live === 1_000 ? "worst" : "p99"} receipt, ms`, case: `${signal}/${live}`, metric: "bar", better: "less" })));
  const bars = rows.flatMap((row): Row[] => {
    const [signal, protocol = "", live] = row.case.split("/");
    const shown = live === "1000" ? "receipt_worst_ms" : "receipt_p99_ms";
    return row.metric === shown ? [{ ...row, case: `${signal}/${live}`, system: protocol, metric: "bar" }] : [];
  });
  return plot(panels, bars, "Receipts of live connections");
}
