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

type Limited = "session" | "idle" | "maxBytes";

/** Absent in one counting allow means that this allow does not limit it: the permissive join is then absent too. */
function loosest(entries: readonly Entry[], key: Limited): number {
  let most = -Infinity;
  for (const { limits } of entries) most = Math.max(most, limits[key] ?? Infinity);
  return most;
}
function strictest(entries: readonly Entry[], key: Limited): number {
  let least = Infinity;
  for (const { limits } of entries) least = Math.min(least, limits[key] ?? Infinity);
  return least;
}

export interface Obligations {
  readonly limits: Limits;
  /** The earliest instant at which P19 or a limit ends the session for this app; Infinity: it has none. */
  readonly sessionEnd: number;
}

/** Joins the limits of the counting allows permissively, then everything else strictly. */
export function joinLimits(plan: Plan, allows: readonly Entry[], limiting: readonly Entry[], facts: Facts): Obligations {
  const join = (key: Limited): number => Math.min(loosest(allows, key), strictest(limiting, key));
  const length = Math.min(join("session"), plan.sessionMax);
  const idle = Math.min(join("idle"), plan.sessionIdle);
  const maxBytes = join("maxBytes");
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
