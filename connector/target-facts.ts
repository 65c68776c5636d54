/**
 * Reads what a file says of an app: ours, or a CycloneDX bill of materials with its findings (JSON,
 * 1.4 and later). What it does not say is not known; what cannot be right makes all of it unknown.
 */
import { MAX_TARGET_VERSION_BYTES } from "../protocol/limits.ts";

export interface TargetFacts {
  readonly version?: string;
  /** "sha256:" and lower-case hex. */
  readonly digest?: string;
  readonly critical?: number;
  readonly high?: number;
  /** When that was so, milliseconds since 1970; absent: as old as the file. */
  readonly at?: number;
}

export type TargetRead = { readonly ok: true; readonly facts: TargetFacts } | { readonly ok: false; readonly problem: string };

type Fields = { readonly [name: string]: unknown };

const OURS = ["version", "digest", "critical", "high", "observed_at"];
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const HEX = /^[0-9a-f]{64}$/;
// With a zone: without one it is another instant on each machine.
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;
const UNPRINTABLE = /[^\x20-\x7e\x80-\uffff]/;

/** Findings of which somebody who looked said that they do not concern this app (VEX). */
const SETTLED: ReadonlySet<unknown> = new Set(["resolved", "resolved_with_pedigree", "false_positive", "not_affected"]);
const MILD: ReadonlySet<unknown> = new Set(["medium", "low", "info", "none"]);

class Wrong extends Error {}

/** Never shows the file's text in a problem: it is somebody else's. */
export function readTargetFacts(text: string): TargetRead {
  try {
    const value = parsed(text);
    return { ok: true, facts: value["bomFormat"] === "CycloneDX" ? ofCycloneDx(value) : ofOurs(value) };
  } catch (error) {
    if (error instanceof Wrong) return { ok: false, problem: error.message };
    throw error;
  }
}

function parsed(text: string): Fields {
  let value: unknown;
  try {
    // Some programs put a byte-order mark in front.
    value = JSON.parse(text.replace(/^\ufeff/, ""));
  } catch {
    throw new Wrong("it is no JSON");
  }
  return fields(value, "it");
}

function ofOurs(value: Fields): TargetFacts {
  const other = Object.keys(value).find((name) => !OURS.includes(name));
  if (other !== undefined) throw new Wrong(`it has a key that is none of ${OURS.join(", ")}`);
  const { version, digest, critical, high, observed_at: observed } = value;
  if (digest !== undefined && !(typeof digest === "string" && DIGEST.test(digest))) throw new Wrong('digest is not "sha256:" and 64 lower-case hex digits');
  return {
    ...(version === undefined ? {} : { version: versionOf(version, "version") }),
    ...(digest === undefined ? {} : { digest }),
    ...(critical === undefined ? {} : { critical: count(critical, "critical") }),
    ...(high === undefined ? {} : { high: count(high, "high") }),
    ...(observed === undefined ? {} : { at: instant(observed, "observed_at") }),
  };
}

function ofCycloneDx(value: Fields): TargetFacts {
  const metadata = optional(value["metadata"], "metadata");
  const component = optional(metadata["component"], "metadata.component");
  const { version } = component;
  const digest = sha256Of(component["hashes"]);
  const { timestamp } = metadata;
  return {
    ...(version === undefined || version === "" ? {} : { version: versionOf(version, "metadata.component.version") }),
    ...(digest === undefined ? {} : { digest }),
    // Without the list nobody looked, which is not the same as nothing found.
    ...(value["vulnerabilities"] === undefined ? {} : findings(value["vulnerabilities"])),
    ...(timestamp === undefined ? {} : { at: instant(timestamp, "metadata.timestamp") }),
  };
}

function sha256Of(hashes: unknown): string | undefined {
  if (hashes === undefined) return undefined;
  const found = array(hashes, "metadata.component.hashes").map((one) => fields(one, "a hash")).find(({ alg }) => alg === "SHA-256");
  if (found === undefined) return undefined;
  const hex = typeof found["content"] === "string" ? found["content"].toLowerCase() : "";
  if (!HEX.test(hex)) throw new Wrong("its SHA-256 is none");
  return `sha256:${hex}`;
}

/** Each vulnerability by its worst rating; one that nobody rated might be the worst. */
function findings(listed: unknown): { readonly critical: number; readonly high: number } {
  let [critical, high] = [0, 0];
  for (const one of array(listed, "vulnerabilities")) {
    const vulnerability = fields(one, "a vulnerability");
    if (SETTLED.has(optional(vulnerability["analysis"], "analysis")["state"])) continue;
    const ratings = vulnerability["ratings"] === undefined ? [] : array(vulnerability["ratings"], "ratings");
    const severities = ratings.map((rating) => fields(rating, "a rating")["severity"]);
    if (severities.includes("critical")) critical++;
    else if (severities.includes("high")) high++;
    else if (!severities.some((severity) => MILD.has(severity))) critical++;
  }
  return { critical, high };
}

function fields(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Wrong(`${what} is no object`);
  return value as Fields;
}

const optional = (value: unknown, what: string): Fields => (value === undefined ? {} : fields(value, what));

function array(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Wrong(`${what} is no list`);
  return value;
}

function count(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw new Wrong(`${what} is no count`);
  return value;
}

function versionOf(value: unknown, what: string): string {
  if (typeof value !== "string" || value === "" || value.length > MAX_TARGET_VERSION_BYTES || !value.isWellFormed() || UNPRINTABLE.test(value)) throw new Wrong(`${what} is no text of 1 to ${MAX_TARGET_VERSION_BYTES} printable characters`);
  return value;
}

function instant(value: unknown, what: string): number {
  const ms = typeof value === "string" && INSTANT.test(value) ? Date.parse(value) : Number.NaN;
  if (!Number.isFinite(ms) || ms < 0) throw new Wrong(`${what} is no instant such as 2026-11-20T10:00:00Z`);
  return ms;
}
