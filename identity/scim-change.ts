/**
 * What a SCIM request asks for (RFC 7644): the bodies of POST, PUT and PATCH in the dialects of
 * Entra and Okta, and filters, read into one plain change. Attributes that we have no use for are
 * passed over; what is malformed is refused whole. Not the directory itself.
 */
import { err, ok } from "../core/result.ts";
import type { Result } from "../core/result.ts";
import { isObject, shortText } from "./statement.ts";

export type ScimKind = "Users" | "Groups";

/** What is not named stays as it is, also in a PUT (RFC 7644 §3.5.1 lets us); null takes a value away. */
export interface ScimChange {
  /** userName, or a group's displayName. */
  name?: string;
  externalId?: string | null;
  active?: boolean;
  display?: string | null;
  given?: string | null;
  family?: string | null;
  /** Lower-case: the primary address, else the one for work, else the first. */
  email?: string | null;
  /** In their order. "all" is everybody who is in it now. */
  members?: { readonly add: boolean; readonly ids: readonly string[] | "all" }[];
}

type TextField = "name" | "externalId" | "display" | "given" | "family" | "email";

export interface ScimFilter {
  readonly by: TextField | "id" | "active";
  readonly value: string;
}

/** RFC 7644 §3.12. */
export interface ScimProblem {
  readonly status: 400 | 404 | 409 | 413 | 415 | 507;
  readonly scimType?: "invalidFilter" | "invalidPath" | "invalidSyntax" | "invalidValue" | "mutability" | "uniqueness";
  readonly detail: string;
}

/** Thrown within `reading` alone. */
export class ScimRefused extends Error {
  readonly problem: ScimProblem;
  constructor(detail: string, scimType?: ScimProblem["scimType"], status: ScimProblem["status"] = 400) {
    super(detail);
    this.problem = { status, ...(scimType === undefined ? {} : { scimType }), detail };
  }
}

/** What `read` gives, or how it was refused. */
export function reading<T>(read: () => T): Result<T, ScimProblem> {
  try {
    return ok(read());
  } catch (cause) {
    if (cause instanceof ScimRefused) return err(cause.problem);
    throw cause;
  }
}

/** Bound the work of one request. */
const MAX_OPERATIONS_COUNT = 1_000;
const MAX_MEMBERS_COUNT = 5_000;
const MAX_PATH_CHARS = 256;

const FIELDS: Readonly<Record<ScimKind, ReadonlyMap<string, TextField | "active">>> = {
  Users: new Map([["username", "name"], ["externalid", "externalId"], ["active", "active"], ["displayname", "display"], ["name.givenname", "given"], ["name.familyname", "family"]]),
  Groups: new Map([["displayname", "name"], ["externalid", "externalId"]]),
};
const CORE_SCHEMA = /^urn:ietf:params:scim:schemas:core:2\.0:(?:user|group):/;
const EMAILS = /^emails(?:\[(?:type eq "work"|primary eq true)\])?(?:\.value)?$/;
const MEMBERS = /^members(?:\[value eq "([^"\\]{1,64})"\])?$/i;
const PATH = /^[a-z][\w.:$-]*(?:\[[^\]]*\](?:\.\w+)?)?$/i;
const FILTER = /^\s*(\w+) eq "((?:[^"\\]|\\["\\/])*)"\s*$/i;

/** The body of a POST or a PUT. */
export function readResource(kind: ScimKind, body: unknown): ScimChange {
  const change: ScimChange = {};
  putAll(change, kind, body, "replace");
  return change;
}

/** The body of a PATCH: all its operations as one change. */
export function readPatch(kind: ScimKind, body: unknown): ScimChange {
  const all = isObject(body) ? body["Operations"] : undefined;
  if (!Array.isArray(all) || all.length > MAX_OPERATIONS_COUNT) throw new ScimRefused("Operations", "invalidSyntax");
  const change: ScimChange = {};
  for (const one of all as readonly unknown[]) {
    const { op: written, path, value } = isObject(one) ? one : {};
    const op = String(written).toLowerCase();
    if (op !== "add" && op !== "replace" && op !== "remove") throw new ScimRefused("op", "invalidSyntax");
    if (path === undefined && op !== "remove") putAll(change, kind, value, op);
    else if (typeof path === "string" && path.length <= MAX_PATH_CHARS && PATH.test(path)) put(change, kind, path, value, op);
    else throw new ScimRefused("path", "invalidPath");
  }
  return change;
}

/** `attribute eq "value"`: what provisioning asks with. */
export function readFilter(kind: ScimKind, text: string): ScimFilter {
  const [, attribute = "", value = ""] = FILTER.exec(text.slice(0, 1_024)) ?? [];
  const by = attribute.toLowerCase() === "id" ? "id" : FIELDS[kind].get(attribute.toLowerCase());
  if (by === undefined || by === "active") throw new ScimRefused('ATTRIBUTE eq "value" of id, userName, externalId, displayName', "invalidFilter");
  return { by, value: value.replace(/\\(.)/g, "$1") };
}

type Op = "add" | "replace" | "remove";

function putAll(change: ScimChange, kind: ScimKind, body: unknown, op: Op): void {
  if (!isObject(body)) throw new ScimRefused("not an object", "invalidSyntax");
  for (const [path, value] of Object.entries(body)) put(change, kind, path, value, op);
}

function put(change: ScimChange, kind: ScimKind, written: string, value: unknown, op: Op): void {
  const path = written.toLowerCase().replace(CORE_SCHEMA, "");
  if (kind === "Groups" && path.startsWith("members")) return putMembers(change, written, value, op);
  if (path === "name" && isObject(value)) {
    for (const [part, text] of Object.entries(value)) put(change, kind, `name.${part}`, text, op);
    return;
  }
  const field = kind === "Users" && EMAILS.test(path) ? "email" : FIELDS[kind].get(path);
  if (field === undefined) return;
  const said = op === "remove" ? null : field === "email" ? addressIn(value) : value;
  const text = shortText(said) ?? null;
  // Entra writes booleans as text.
  const active = String(said).toLowerCase();
  if (field === "active" && /^(?:true|false)$/.test(active)) change.active = active === "true";
  else if (field === "active" || (text === null && (field === "name" || (said ?? "") !== ""))) throw new ScimRefused(field, "invalidValue");
  else if (field === "name") change.name = text ?? "";
  else change[field] = field === "email" ? (text?.toLowerCase() ?? null) : text;
}

function addressIn(value: unknown): unknown {
  if (!Array.isArray(value)) return isObject(value) ? value["value"] : value;
  const all = (value as readonly unknown[]).filter(isObject);
  return (all.find((one) => one["primary"] === true) ?? all.find((one) => one["type"] === "work") ?? all[0])?.["value"];
}

/** Entra removes by a filter or by a list of values, Okta by a filter; both replace the whole list. */
function putMembers(change: ScimChange, path: string, value: unknown, op: Op): void {
  const found = MEMBERS.exec(path);
  const filtered = found?.[1];
  if (found === null || (filtered !== undefined && op !== "remove")) throw new ScimRefused("members", "invalidPath");
  const given = filtered ?? value ?? [];
  const ids = (Array.isArray(given) ? (given as readonly unknown[]) : [given]).map((one) => {
    const id = shortText(isObject(one) ? one["value"] : one);
    if (id === undefined) throw new ScimRefused("members", "invalidValue");
    return id;
  });
  if (ids.length > MAX_MEMBERS_COUNT) throw new ScimRefused(`at most ${MAX_MEMBERS_COUNT} members in one request`, "invalidValue");
  const members = (change.members ??= []);
  if (op === "replace" || (op === "remove" && (filtered ?? value) === undefined)) members.push({ add: false, ids: "all" });
  members.push({ add: op !== "remove", ids });
}
