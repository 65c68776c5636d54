/**
 * Facts `patch_age_days` and `patched_7d`, `patched_30d`, `patched_90d`: how long ago the system last
 * installed an update. Each source says when something was updated, so what is found is never
 * younger than the truth; a log that was emptied says nothing.
 */
import { DAY_MS } from "../../core/time.ts";
import type { Check } from "./check.ts";
import { powershell } from "./powershell.ts";
import type { System } from "./system.ts";

const WITHIN_DAYS = [7, 30, 90] as const;
/** A machine's clock may be set wrong for a moment; an update from later than this is none. */
const FUTURE_MS = DAY_MS;
/** Packages that every round of updates brings anew; an installation by hand of anything else is no update. */
const RPM_PACKAGES = ["kernel-core", "kernel-default", "glibc", "systemd", "openssl-libs"] as const;

export const patchAge: Check = async ({ system, now }) => {
  const at = await lastUpdate(system);
  if (at === undefined || Number.isNaN(at) || at <= 0 || at > now + FUTURE_MS) return {};
  const days = Math.max(0, Math.floor((now - at) / DAY_MS));
  return { patch_age_days: days, ...Object.fromEntries(WITHIN_DAYS.map((limit) => [`patched_${limit}d`, days <= limit])) };
};

async function lastUpdate(system: System): Promise<number | undefined> {
  switch (system.platform) {
    case "linux":
      return (await dpkg(system)) ?? (await rpm(system)) ?? parsePacmanLog((await system.readEnd("/var/log/pacman.log")) ?? "");
    case "darwin":
      return parseInstallHistory((await system.read("/Library/Receipts/InstallHistory.plist")) ?? "");
    case "win32":
      return parseInstant(await powershell(system, "(New-Object -ComObject Microsoft.Update.AutoUpdate).Results.LastInstallationSuccessDate.ToString('yyyy-MM-ddTHH:mm:ssZ', [Globalization.CultureInfo]::InvariantCulture)"));
    default:
      return undefined;
  }
}

/** The log before the last rotation, too: on the first of a month the new one is empty. */
async function dpkg(system: System): Promise<number | undefined> {
  return parseDpkgLog((await system.readEnd("/var/log/dpkg.log")) ?? "") ?? parseDpkgLog((await system.readEnd("/var/log/dpkg.log.1")) ?? "");
}

async function rpm(system: System): Promise<number | undefined> {
  // Packages that are not installed make its exit code 1; what is installed is printed all the same.
  const ran = await system.run("/usr/bin/rpm", "-q", "--qf", "%{INSTALLTIME}\\n", ...RPM_PACKAGES);
  return ran === undefined ? undefined : newest([...ran.out.matchAll(/^(\d{9,11})$/gm)].map((match) => Number(match[1]) * 1000));
}

/** "2026-11-20 06:25:10 upgrade libc6:amd64 2.39-0ubuntu8.3 2.39-0ubuntu8.4", in the machine's own time. */
export function parseDpkgLog(text: string): number | undefined {
  return newest([...text.matchAll(/^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) upgrade \S+ \S+ \S+$/gm)].map((match) => Date.parse(`${match[1]}T${match[2]}`)));
}

/** "[2026-11-20T06:25:10+0100] [ALPM] upgraded glibc (2.40-1 -> 2.40-2)" */
export function parsePacmanLog(text: string): number | undefined {
  return newest([...text.matchAll(/^\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d)(\d\d)\] \[ALPM\] upgraded /gm)].map((match) => Date.parse(`${match[1]}:${match[2]}`)));
}

/** The property list of what was installed: an update of macOS itself, not of what it downloads by itself (XProtect …). */
export function parseInstallHistory(text: string): number | undefined {
  const dates = [...text.matchAll(/<dict>([^]*?)<\/dict>/g)].flatMap(([, entry = ""]) => {
    const title = /<key>displayName<\/key>\s*<string>([^<]*)<\/string>/.exec(entry)?.[1] ?? "";
    const at = /<key>date<\/key>\s*<date>([^<]*)<\/date>/.exec(entry)?.[1];
    return /^(?:macOS|Security Update|Rapid Security Response)\b/.test(title) ? [parseInstant(at) ?? Number.NaN] : [];
  });
  return newest(dates);
}

function parseInstant(text: string | undefined): number | undefined {
  const trimmed = text?.trim() ?? "";
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(trimmed) ? Date.parse(trimmed) : undefined;
}

function newest(instants: readonly number[]): number | undefined {
  const known = instants.filter((one) => !Number.isNaN(one));
  return known.length === 0 ? undefined : Math.max(...known);
}
