/** Facts `os`, `os_name`, `os_version`: which system this is. */
import { type Check, found, outputOf } from "./check.ts";
import { powershell } from "./powershell.ts";
import type { PostureFacts } from "../../identity/posture-report.ts";

const NAMES: Readonly<Record<string, string>> = { linux: "linux", darwin: "macos", win32: "windows" };
const VERSION = /^\d{1,6}(?:\.\d{1,6}){0,4}$/;

export const operatingSystem: Check = async ({ system }) => {
  const os = NAMES[system.platform];
  const named = async (): Promise<PostureFacts> => {
    switch (system.platform) {
      case "linux":
        return parseOsRelease((await system.read("/etc/os-release")) ?? (await system.read("/usr/lib/os-release")) ?? "");
      case "darwin":
        return { os_name: "macos", ...version(await outputOf(system, "/usr/bin/sw_vers", "-productVersion")) };
      case "win32":
        return { os_name: "windows", ...version(await powershell(system, "[Environment]::OSVersion.Version.ToString()")) };
      default:
        return {};
    }
  };
  return os === undefined ? {} : { ...found("os", os), ...(await named()) };
};

const version = (text: string | undefined): PostureFacts => found("os_version", VERSION.test(text?.trim() ?? "") ? text?.trim() : undefined);

/** os-release(5): ID is lower case by definition; a rolling distribution has no VERSION_ID. */
export function parseOsRelease(text: string): PostureFacts {
  const field = (name: string): string | undefined => new RegExp(`^${name}=(["']?)([A-Za-z0-9._-]{1,64})\\1$`, "m").exec(text)?.[2];
  return { ...found("os_name", field("ID")), ...found("os_version", field("VERSION_ID")) };
}
