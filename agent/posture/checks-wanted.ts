/**
 * What a machine is to look for besides what every machine can say of itself: processes of endpoint
 * protection, files, certificates. A JSON file of the team's, by name; read whole or refused.
 */
import { AgentFailure } from "../agent-failure.ts";
import { POSTURE_NAME } from "../../identity/posture-report.ts";

export interface ChecksWanted {
  /** Names of processes; any one that runs is enough. */
  readonly edr: readonly string[];
  /** Fact `file_<name>` → path. */
  readonly files: Readonly<Record<string, string>>;
  /** Fact `certificate_<name>` → SHA-256 of the certificate, and on Linux the file that holds it. */
  readonly certificates: Readonly<Record<string, CertificateWanted>>;
}

export interface CertificateWanted {
  /** 64 hexadecimal digits, lower case. */
  readonly sha256: string;
  readonly file?: string;
}

export const NOTHING_WANTED: ChecksWanted = { edr: [], files: {}, certificates: {} };

/** Each kind: bounds what one report may carry. */
const MAX_WANTED_COUNT = 16;

/** The text of such a file. Throws AgentFailure. */
export function parseChecksWanted(text: string, file: string): ChecksWanted {
  const refuse = (why: string): never => {
    throw new AgentFailure("checks_invalid", `${file} cannot be used`, why, ['it must look like {"edr": ["falcon-sensor"], "files": {"corp": "/etc/corp/mark"}, "certificates": {"corp": {"sha256": "64 hexadecimal digits", "file": "/etc/corp/device.pem"}}}', "docs/devices.md says what each is"]);
  };
  const object = (value: unknown, what: string): Readonly<Record<string, unknown>> => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : refuse(`${what} is not an object`));
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return refuse("it is not JSON");
  }
  const { edr = [], files = {}, certificates = {}, ...others } = object(json, "it");
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return refuse(`"${unknown}" is not a kind of check`);
  const path = (value: unknown, what: string): string => (typeof value === "string" && value !== "" && value.length <= 1024 ? value : refuse(`${what} names no path`));
  const named = <T>(value: unknown, what: string, prefix: string, read: (one: unknown, what: string) => T): Record<string, T> => {
    const entries = Object.entries(object(value, what));
    if (entries.length > MAX_WANTED_COUNT) refuse(`${what} names more than ${MAX_WANTED_COUNT}`);
    return Object.fromEntries(entries.map(([name, one]) => (POSTURE_NAME.test(prefix + name) ? [name, read(one, `${what} ${name}`)] : refuse(`"${name}" cannot be part of a fact's name: lower-case letters, digits and "_"`))));
  };
  if (!Array.isArray(edr) || edr.length > MAX_WANTED_COUNT || !edr.every((one): one is string => typeof one === "string" && /^[^/\\]{1,128}$/.test(one))) return refuse("edr is not a list of names of processes");
  return {
    edr,
    files: named(files, "files", "file_", path),
    certificates: named(certificates, "certificates", "certificate_", (one, what) => {
      const { sha256, file: at } = object(one, what);
      const digest = typeof sha256 === "string" ? sha256.toLowerCase().replaceAll(":", "") : "";
      if (!/^[0-9a-f]{64}$/.test(digest)) refuse(`${what} has no sha256 of 64 hexadecimal digits`);
      return { sha256: digest, ...(at === undefined ? {} : { file: path(at, what) }) };
    }),
  };
}
