/** Fact `firewall`: the system's own firewall judges what comes in. */
import { type Check, found, outputOf } from "./check.ts";
import { powershell } from "./powershell.ts";
import type { System } from "./system.ts";

export const firewall: Check = async ({ system }) => found("firewall", await isOn(system));

async function isOn(system: System): Promise<boolean | undefined> {
  switch (system.platform) {
    case "linux":
      return onLinux(system);
    case "darwin":
      return parseGlobalState(await outputOf(system, "/usr/libexec/ApplicationFirewall/socketfilterfw", "--getglobalstate"));
    case "win32":
      return parseProfiles(await powershell(system, "Get-NetFirewallProfile -PolicyStore ActiveStore | ForEach-Object { $_.Name + '=' + [int]$_.Enabled }"));
    default:
      return undefined;
  }
}

/** On if any of the three that distributions bring is on; off only if all three are known not to be. */
async function onLinux(system: System): Promise<boolean | undefined> {
  const each = await Promise.all([ufw(system), firewalld(system), nftables(system)]);
  if (each.includes(true)) return true;
  return each.includes(undefined) ? undefined : false;
}

/** Its unit says "active" also when it is switched off: what counts is both. */
async function ufw(system: System): Promise<boolean | undefined> {
  const isThere = await system.exists("/etc/ufw/ufw.conf");
  if (isThere !== true) return isThere;
  const enabled = /^ENABLED=["']?(yes|no)["']?\s*$/m.exec((await system.read("/etc/ufw/ufw.conf")) ?? "")?.[1];
  if (enabled === undefined) return undefined;
  return enabled === "yes" ? unitIsActive(system, "ufw.service") : false;
}

const firewalld = (system: System): Promise<boolean | undefined> => unitIsActive(system, "firewalld.service");

/** The ruleset is root's to see; its unit and the file that it loads are everybody's. */
async function nftables(system: System): Promise<boolean | undefined> {
  const active = await unitIsActive(system, "nftables.service");
  if (active !== true) return active;
  const rules = (await system.read("/etc/nftables.conf")) ?? (await system.read("/etc/sysconfig/nftables.conf"));
  return rules === undefined ? undefined : filtersInput(rules);
}

/** A chain at the input hook that drops or rejects anything; a file that includes others may do it there. */
export function filtersInput(rules: string): boolean | undefined {
  const text = rules.replace(/^\s*#.*$/gm, "");
  const chains = [...text.matchAll(/chain\s+\S+\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}/g)].map((match) => match[1] ?? "");
  if (chains.some((chain) => /\bhook\s+input\b/.test(chain) && /\b(?:drop|reject)\b/.test(chain))) return true;
  return /^\s*include\b/m.test(text) ? undefined : false;
}

/** systemctl's words are not translated; 3 and 4 are its codes for a unit that is not active or not there. */
async function unitIsActive(system: System, unit: string): Promise<boolean | undefined> {
  const ran = await system.run("/usr/bin/systemctl", "is-active", unit);
  if (ran === undefined) return undefined;
  const state = ran.out.trim();
  if (ran.code === 0 && state === "active") return true;
  return (ran.code === 3 || ran.code === 4) && ["inactive", "failed", "unknown"].includes(state) ? false : undefined;
}

/** "Firewall is enabled. (State = 1)"; 2: everything is blocked. */
export function parseGlobalState(text: string | undefined): boolean | undefined {
  const state = /\(State = ([012])\)/.exec(text ?? "")?.[1];
  return state === undefined ? undefined : state !== "0";
}

/** "Domain=1", "Private=1", "Public=0", each on a line: on only if all are. */
export function parseProfiles(text: string | undefined): boolean | undefined {
  const profiles = [...(text ?? "").matchAll(/^(Domain|Private|Public)=(\d)\r?$/gm)].map((match) => match[2]);
  if (profiles.includes("0")) return false;
  return profiles.length === 3 && profiles.every((state) => state === "1") ? true : undefined;
}
