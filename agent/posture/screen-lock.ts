/** Fact `screen_lock`: left alone, the screen locks within 15 minutes and asks for a password. */
import { type Check, found, outputOf } from "./check.ts";
import { systemFolder } from "./powershell.ts";
import type { System } from "./system.ts";

/** What an auditor expects at most (CIS benchmarks: 900 s). */
export const MAX_UNLOCKED_SECONDS = 900;

export const screenLock: Check = async ({ system }) => found("screen_lock", await locks(system));

async function locks(system: System): Promise<boolean | undefined> {
  switch (system.platform) {
    case "linux": {
      // The settings of a desktop that does not run say nothing about the one that does.
      const desktop = system.env("XDG_CURRENT_DESKTOP") ?? "";
      if (/\b(?:GNOME|Unity|Budgie)\b/i.test(desktop)) return gnome(system);
      return /\bKDE\b/i.test(desktop) ? parseKde(await system.read(`${system.env("XDG_CONFIG_HOME") ?? `${system.env("HOME") ?? ""}/.config`}/kscreenlockerrc`)) : undefined;
    }
    case "darwin":
      return mac(system);
    case "win32":
      return windows(system);
    default:
      return undefined;
  }
}

async function gnome(system: System): Promise<boolean | undefined> {
  const get = (schema: string, key: string): Promise<string | undefined> => outputOf(system, "/usr/bin/gsettings", "get", schema, key);
  const [enabled, idle, delay] = await Promise.all([
    get("org.gnome.desktop.screensaver", "lock-enabled"),
    get("org.gnome.desktop.session", "idle-delay"),
    get("org.gnome.desktop.screensaver", "lock-delay"),
  ]);
  const seconds = (text: string | undefined): number | undefined => (/^uint32 \d{1,9}\s*$/.test(text ?? "") ? Number((text ?? "").slice("uint32 ".length)) : undefined);
  if (enabled?.trim() === "false") return false;
  return enabled?.trim() === "true" ? within(seconds(idle), seconds(delay)) : undefined;
}

/** KDE writes only what differs from its defaults: on, after 5 minutes. */
export function parseKde(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  const daemon = /^\[Daemon\]$([^[]*)/m.exec(text)?.[1] ?? "";
  const value = (key: string, otherwise: string): string => new RegExp(`^${key}=(.*)$`, "m").exec(daemon)?.[1]?.trim() ?? otherwise;
  const minutes = Number(value("Timeout", "5"));
  const grace = Number(value("LockGrace", "5"));
  if (value("Autolock", "true") !== "true") return value("Autolock", "true") === "false" ? false : undefined;
  return Number.isFinite(minutes) && Number.isFinite(grace) ? within(minutes * 60, grace) : undefined;
}

async function mac(system: System): Promise<boolean | undefined> {
  const [status, screensaver, power] = await Promise.all([
    // It answers where programs complain.
    system.run("/usr/sbin/sysadminctl", "-screenLock", "status"),
    outputOf(system, "/usr/bin/defaults", "-currentHost", "read", "com.apple.screensaver", "idleTime"),
    outputOf(system, "/usr/bin/pmset", "-g"),
  ]);
  const delay = status?.code === 0 ? parseLockDelay(status.out + status.err) : undefined;
  if (delay === "off") return false;
  const idle = /^\d{1,9}\s*$/.test(screensaver ?? "") ? Number(screensaver) : 0;
  const displaySleep = Number(/^\s*displaysleep\s+(\d{1,6})\b/m.exec(power ?? "")?.[1] ?? "0") * 60;
  const first = Math.min(...[idle, displaySleep].filter((one) => one > 0));
  // Neither is known to be set, and one could not be asked: nobody can say.
  if (first === Infinity) return screensaver !== undefined && power !== undefined && delay !== undefined ? false : undefined;
  return within(first, delay);
}

/** "screenLock is immediate", "screenLock delay is 300 seconds", "screenLock is off". */
export function parseLockDelay(text: string): number | "off" | undefined {
  if (/screenLock is off\b/.test(text)) return "off";
  if (/screenLock (?:delay )?is immediate\b/.test(text)) return 0;
  const seconds = /screenLock delay is (\d{1,9}) seconds?\b/.exec(text)?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}

/** The machine's limit, or the user's own screen saver. Whole keys are asked for: a value that is not there is then not set. */
async function windows(system: System): Promise<boolean | undefined> {
  const query = (key: string): Promise<string | undefined> => outputOf(system, `${systemFolder(system)}\\reg.exe`, "query", key);
  const [machine, user] = await Promise.all([query("HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Policies\\System"), query("HKCU\\Control Panel\\Desktop")]);
  const limit = machine === undefined ? undefined : Number(registryValue(machine, "InactivityTimeoutSecs") ?? "0");
  if (limit !== undefined && limit > 0 && limit <= MAX_UNLOCKED_SECONDS) return true;
  if (user === undefined || limit === undefined) return undefined;
  const on = (name: string): boolean => registryValue(user, name) === "1";
  return on("ScreenSaveActive") && on("ScreenSaverIsSecure") && within(Number(registryValue(user, "ScreenSaveTimeOut") ?? "0"), 0) === true;
}

/** A value as reg.exe prints it, in no language: "    Name    REG_DWORD    0x384". */
export function registryValue(text: string, name: string): string | undefined {
  return new RegExp(`^ {4}${name} {4}REG_(?:SZ|DWORD) {4}(\\S+)\\s*$`, "m").exec(text)?.[1];
}

/** 0: never. */
function within(idleSeconds: number | undefined, delaySeconds: number | undefined): boolean | undefined {
  if (idleSeconds === 0) return false;
  return idleSeconds === undefined || delaySeconds === undefined ? undefined : idleSeconds + delaySeconds <= MAX_UNLOCKED_SECONDS;
}
