/**
 * `npm run bench:publish [-- --check]`: writes the figures of bench/results/latest.json into
 * docs/performance.md, between its marks, the plot beside it, and the kept profiles, and those of
 * bench/results/revoke.json into docs/freshness.md; so no figure there is typed by hand. `--check` changes
 * nothing and exits 1 when a page or a plot is not what the results in the commit say: a run that was
 * made since, and is not published, is no fault.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { freshnessFigures, freshnessPlot } from "./freshness.ts";
import type { Results, Row } from "./measure/results.ts";
import { type Panel, plot } from "./plot.ts";
import { goalCells, verdicts } from "./table.ts";

const run = promisify(execFile);
const MAX_KEPT_BYTES = 16 * 1024 * 1024;
const PROJECT = join(import.meta.dirname, "..");
const RESULTS = "bench/results/latest.json";
const isCheck = process.argv.includes("--check");
const hasHistory = existsSync(join(PROJECT, ".git"));
const PAGE = "docs/performance.md";
const PLOT = "docs/images/performance.svg";
const REVOKE_RESULTS = "bench/results/revoke.json";
const REVOKE_PAGE = "docs/freshness.md";
const REVOKE_PLOT = "docs/images/freshness.svg";
const NO_REVOKE = "No run is kept with this commit. `npm run bench:revoke -- --quick` makes one in at most 5 minutes.";
const BEGIN = "<!-- figures: written by npm run bench:publish -->";
const END = "<!-- end of figures -->";
const PROFILES_BEGIN = "<!-- profiles: written by npm run bench:publish -->";
const PROFILES_END = "<!-- end of profiles -->";
const NO_PROFILE = "No profile is kept with this commit.";
const LOADS = ["small", "download", "upload", "tcp"] as const;
const NONE = "No run is kept with this commit. `npm run bench -- --quick` makes one in at most 8 minutes.";

const PANELS: readonly Panel[] = [
  { title: "small requests a second, 32 connections", case: "http-1k-c32", metric: "rps", better: "more" },
  { title: "CPU of all processes, us a small request", case: "http-1k-c32", metric: "cpu_us_per_request", better: "less" },
  { title: "p99 at a steady 700 a second, ms", case: "http-1k-700rps", metric: "p99_ms", better: "less" },
  { title: "p99 beside a download, ms", case: "http-1k-during-download", metric: "p99_ms", better: "less" },
  { title: "one download of 200 MB, MB/s", case: "download-1", metric: "MBps", better: "more" },
  { title: "one upload of 200 MB, MB/s", case: "upload-1", metric: "MBps", better: "more" },
  { title: "one TCP stream of 200 MB, MB/s", case: "tcp-1", metric: "MBps", better: "more" },
  { title: "WebSocket echoes a second, 64 in flight", case: "websocket-echo-64", metric: "messages_per_s", better: "more" },
];

/** Tables of the page: cases beside each other that share columns. */
const TABLES: readonly { readonly cases: (name: string) => boolean; readonly metrics: readonly string[] }[] = [
  { cases: (name) => /^http-1k-(?:c|\d)/.test(name), metrics: ["rps", "p50_ms", "p99_ms", "cpu_us_per_request", "cpu_us_per_request_edge", "cpu_us_per_request_connector", "foreign_cores"] },
  { cases: (name) => /^(?:down|up)load-/.test(name), metrics: ["MBps", "cpu_ms_per_MB", "cpu_ms_per_MB_edge", "cpu_ms_per_MB_connector", "rss_growth_MB_edge", "rss_growth_MB_connector", "foreign_cores"] },
  { cases: (name) => /^tcp-(?:\d|upload)/.test(name), metrics: ["MBps", "cpu_ms_per_MB", "cpu_ms_per_MB_edge", "cpu_ms_per_MB_connector", "cpu_ms_per_MB_agent", "foreign_cores"] },
  { cases: (name) => /^(?:websocket-|tcp-ping)/.test(name), metrics: ["messages_per_s", "MBps", "p50_ms", "p99_ms", "cpu_us_per_message", "foreign_cores"] },
  { cases: (name) => /^(?:stalled-|http-1k-during)/.test(name), metrics: ["MBps", "p99_ms", "p99_alone_ms", "rss_growth_MB_edge", "rss_growth_MB_connector", "foreign_cores"] },
  { cases: (name) => name === "records", metrics: ["records_per_request"] },
];

interface Profile {
  readonly load: string;
  readonly commit: string;
  readonly parts: readonly { readonly part: string; readonly functions: readonly { readonly name: string; readonly share: number }[] }[];
}

const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

function table(rows: readonly Row[], metrics: readonly string[]): string[] {
  const columns = metrics.filter((metric) => rows.some((row) => row.metric === metric));
  const keys = [...new Set(rows.map((row) => `${row.case}\n${row.system}`))];
  const value = (key: string, metric: string): string => String(rows.find((row) => `${row.case}\n${row.system}` === key && row.metric === metric)?.value ?? "–");
  return [line(["case", "system", ...columns.map((metric) => `\`${metric}\``)]), line(Array.from({ length: columns.length + 2 }, () => "---")), ...keys.map((key) => line([...key.split("\n"), ...columns.map((metric) => value(key, metric))])), ""];
}

function figures(results: Results): string {
  const { machine, commit, date, rows } = results;
  const goals = verdicts(rows).map((verdict) => line(goalCells(verdict).map((cell) => (cell === "NOT MET" ? "**not met**" : cell))));
  const tables = TABLES.flatMap(({ cases, metrics }) => {
    const found = rows.filter((row) => cases(row.case));
    return found.length === 0 ? [] : table(found, metrics);
  });
  return [
    `Commit \`${commit}\`, ${date.slice(0, 10)}, ${Object.entries(machine).map(([name, value]) => `${name} ${value}`).join(", ")}.`,
    "",
    "![The figures that the goals are about, as bars](images/performance.svg)",
    "",
    line(["case", "metric", "beside", "is", "must be", ""]),
    line(["---", "---", "---", "---", "---", "---"]),
    ...goals,
    "",
    ...tables,
  ].join("\n").trimEnd();
}

/** Shares of a process's own time, one table a kept profile. */
function profileTables(profiles: readonly Profile[]): string {
  return profiles
    .map(({ load, commit, parts }) => {
      const depth = Math.max(...parts.map(({ functions }) => functions.length));
      const rows = Array.from({ length: depth }, (_, i) => line(parts.map(({ functions }) => (functions[i] === undefined ? "" : `\`${functions[i].name}\` ${(functions[i].share * 100).toFixed(1)} %`))));
      return [`Under the load \`${load}\` (commit \`${commit}\`):`, "", line(parts.map(({ part }) => part)), line(parts.map(() => "---")), ...rows].join("\n");
    })
    .join("\n\n");
}

/** A kept file: as it is, or, for a check, as git has it. */
async function kept<T>(file: string): Promise<T | undefined> {
  const text = isCheck && hasHistory ? await run("git", ["show", `:${file}`], { cwd: PROJECT, maxBuffer: MAX_KEPT_BYTES }).then(({ stdout }) => stdout, () => undefined) : await readFile(join(PROJECT, file), "utf8").catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as T);
}

async function keptProfiles(): Promise<Profile[]> {
  const found = await Promise.all(LOADS.map((load) => kept<Profile>(`bench/results/profile-${load}.json`)));
  return found.filter((one) => one !== undefined);
}

/** A page with what stands between two marks replaced. */
function between(page: string, text: string, begin: string, end: string, inside: string): string {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${page} has lost its marks ${begin} and ${end}`);
  return `${text.slice(0, from)}${begin}\n\n${inside}\n\n${text.slice(to)}`;
}

/** Writes a file of the project, or, for a check, says whether it is so. */
async function put(file: string, wanted: string | undefined, source: string): Promise<void> {
  const path = join(PROJECT, file);
  if (!isCheck) return wanted === undefined ? undefined : writeFile(path, wanted);
  if (wanted === (await readFile(path, "utf8").catch(() => undefined))) return undefined;
  process.stderr.write(`${file} is not what ${source} says; write it: npm run bench:publish\n`);
  process.exitCode = 1;
  return undefined;
}

const results = await kept<Results>(RESULTS);
const profiles = await keptProfiles();
const page = await readFile(join(PROJECT, PAGE), "utf8");
const withFigures = between(PAGE, page, BEGIN, END, results === undefined ? NONE : figures(results));
await put(PAGE, between(PAGE, withFigures, PROFILES_BEGIN, PROFILES_END, profiles.length === 0 ? NO_PROFILE : profileTables(profiles)), RESULTS);
await put(PLOT, results === undefined ? undefined : plot(PANELS, results.rows), RESULTS);

const revoked = await kept<Results>(REVOKE_RESULTS);
await put(REVOKE_PAGE, between(REVOKE_PAGE, await readFile(join(PROJECT, REVOKE_PAGE), "utf8"), BEGIN, END, revoked === undefined ? NO_REVOKE : freshnessFigures(revoked)), REVOKE_RESULTS);
await put(REVOKE_PLOT, revoked === undefined ? undefined : freshnessPlot(revoked.rows), REVOKE_RESULTS);
