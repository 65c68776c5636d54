/** Limits of an allow (P5, P6, P7, P19): how those of several policies join, and whether they let a request pass. */
import { ADMIN_APP } from "../core/ids.ts";
import type { Millis } from "../core/time.ts";
import { at, lasting } from "../core/time.ts";
import type { Plan } from "./compile.ts";
import type { Limits, Role } from "./decision.ts";
import type { Entry } from "./entry.ts";
import type { Ask, Facts } from "./facts.ts";

const ROLES: readonly Role[] = ["viewer", "responder", "operator"];
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/** Absent in one counting allow means that this allow does not limit it: the permissive join is then absent too. */
const loosest = (values: readonly (number | undefined)[]): number => Math.max(...values.map((value) => value ?? Infinity));
const strictest = (values: readonly (number | undefined)[]): number => Math.min(...values.map((value) => value ?? Infinity));

export interface Obligations {
  readonly limits: Limits;
  /** The earliest instant at which P19 or a limit ends the session for this app; Infinity: it has none. */
  readonly sessionEnd: number;
}

/** Joins the limits of the counting allows permissively, then everything else strictly. */
export function joinLimits(plan: Plan, allows: readonly Entry[], limiting: readonly Entry[], facts: Facts): Obligations {
  const loose = (key: "session" | "idle" | "maxBytes"): number => loosest(allows.map((entry) => entry.limits[key]));
  const strict = (key: "session" | "idle" | "maxBytes"): number => strictest(limiting.map((entry) => entry.limits[key]));
  const length = Math.min(loose("session"), strict("session"), plan.sessionMax);
  const idle = Math.min(loose("idle"), strict("idle"), plan.sessionIdle);
  const maxBytes = Math.min(loose("maxBytes"), strict("maxBytes"));
  const { session } = facts;
  const sessionEndsAt = session === undefined ? undefined : at(session.startedAt + length);
  const role = plan.app === ADMIN_APP ? joinRoles(allows, limiting) : undefined;
  return {
    sessionEnd: session === undefined ? Infinity : Math.min(session.startedAt + length, session.lastActiveAt + idle),
    limits: {
      ...(sessionEndsAt === undefined ? {} : { sessionEndsAt, idle: lasting(idle) }),
      ...(maxBytes === Infinity ? {} : { maxBytes }),
      readOnly: allows.every((entry) => entry.limits.readOnly === true) || limiting.some((entry) => entry.limits.readOnly === true),
      ...(role === undefined ? {} : { role }),
    },
  };
}

/** The highest role that a counting allow gives (viewer if it names none), no higher than any limit policy's. */
function joinRoles(allows: readonly Entry[], limiting: readonly Entry[]): Role {
  const rank = (entry: Entry): number => Math.max(0, ROLES.indexOf(entry.limits.role ?? "viewer"));
  const given = Math.max(0, ...allows.map(rank));
  const capped = Math.min(given, ...limiting.filter((entry) => entry.limits.role !== undefined).map(rank));
  return ROLES[capped] ?? "viewer";
}

/** P7: what passes under read_only. */
export const isReading = (ask: Ask): boolean => ask.protocol === "http" && SAFE_METHODS.has(ask.method);

/** Whether the session is over. A session of no sense (NaN) is over. */
export const isOver = (end: number, now: Millis): boolean => !(now < end);
