/**
 * A provider's users and groups as SCIM writes them, and which of our people they are. A change
 * raises the revision of everybody whom it concerns, in the same step; what a revision means for
 * live sessions is provisioning.ts's. A user who was deleted stays and bars whom it was.
 */
import type { Result } from "../../core/result.ts";
import type { Millis } from "../../core/time.ts";
import { err } from "../../core/result.ts";
import { reading, type ScimChange, type ScimFilter, type ScimKind, type ScimProblem, ScimRefused } from "../../identity/scim-change.ts";
import type { ScimEntry } from "../../identity/scim-resource.ts";
import type { Provider } from "../../policy/document.ts";
import { randomText } from "../random-text.ts";
import type { Database } from "../sqlite.ts";

export type DirectoryRequest = { readonly kind: ScimKind } & (
  | { readonly do: "list"; readonly filter?: ScimFilter; readonly start: number; readonly count: number; readonly members: boolean }
  | { readonly do: "get"; readonly id: string; readonly members: boolean }
  | { readonly do: "create"; readonly change: ScimChange }
  | { readonly do: "change"; readonly id: string; readonly change: ScimChange }
  | { readonly do: "delete"; readonly id: string }
);

export interface DirectoryAnswer {
  readonly entries: readonly ScimEntry[];
  /** Of a list: how many there are in all. */
  readonly total: number;
}

/** How a provider's people are found in its directory. */
export interface DirectoryOf {
  readonly id: string;
  readonly issuer: string;
  readonly match: NonNullable<Provider["scim"]>["match"];
}

export interface DirectoryRow {
  readonly id: string;
  readonly kind: ScimKind;
  readonly data: string;
  readonly gone: number;
  readonly person: string | null;
  readonly revision: number;
}

/** What a directory says of a person, by the clock that stamps its signals (M9). "unknown": it has no such entry, or cannot say which. */
export type Standing = "unknown" | "inactive" | { readonly groups: readonly string[]; readonly at: Millis };

/** Bound what a directory can make control store; deleted users count. */
export const MAX_ENTRIES_COUNT = 50_000;
export const MAX_MEMBERSHIPS_COUNT = 500_000;
/** Bounds a person's groups as a session holds them. */
export const MAX_GROUPS_COUNT = 2_000;

/** Answers one request in one step. */
export function answer(db: Database, of: DirectoryOf, request: DirectoryRequest): Result<DirectoryAnswer, ScimProblem> {
  try {
    return reading(() => db.transaction(() => (request.do === "list" ? list(db, of, request) : one(db, of, request))));
  } catch (cause) {
    if (!/UNIQUE/.test(String(cause))) throw cause;
    return err({ status: 409, scimType: "uniqueness", detail: "userName, displayName or externalId is in use" });
  }
}

export const dataOf = (row: DirectoryRow): Omit<ScimChange, "members"> => JSON.parse(row.data) as ScimChange;
const count = (db: Database, query: string, ...bindings: unknown[]): number => db.one<{ n: number }>(`SELECT count(*) AS n FROM ${query}`, ...bindings)?.n ?? 0;
const membersOf = (db: Database, group: string): string[] => db.all<{ user_id: string }>("SELECT user_id FROM directory_members WHERE group_id = ?", group).map((row) => row.user_id);

function entryOf(db: Database, row: DirectoryRow, members: boolean): ScimEntry {
  return { ...dataOf(row), id: row.id, ...(row.kind === "Groups" && members ? { members: membersOf(db, row.id) } : {}) };
}

function list(db: Database, of: DirectoryOf, { kind, filter, start, count: most, members }: Extract<DirectoryRequest, { do: "list" }>): DirectoryAnswer {
  const by = filter?.by === "id" ? "id" : filter?.by === "name" ? "lower(data ->> 'name')" : `data ->> '${filter?.by ?? ""}'`;
  const where = `directory WHERE provider = ? AND kind = ? AND gone = 0${filter === undefined ? "" : ` AND ${by} = ${filter.by === "name" ? "lower(?)" : "?"}`}`;
  const given = [of.id, kind, ...(filter === undefined ? [] : [filter.value])];
  const rows = db.all<DirectoryRow>(`SELECT * FROM ${where} ORDER BY rowid LIMIT ? OFFSET ?`, ...given, most, start - 1);
  return { total: count(db, where, ...given), entries: rows.map((row) => entryOf(db, row, members)) };
}

function one(db: Database, of: DirectoryOf, request: Exclude<DirectoryRequest, { do: "list" }>): DirectoryAnswer {
  const id = request.do === "create" ? insert(db, of, request.kind) : request.id;
  const read = (): DirectoryRow | undefined => db.one<DirectoryRow>("SELECT * FROM directory WHERE id = ? AND provider = ? AND kind = ? AND gone = 0", id, of.id, request.kind);
  const row = read();
  if (row === undefined) throw new ScimRefused("no such resource", undefined, 404);
  if (request.do === "delete") remove(db, row);
  else if (request.do !== "get") change(db, of, row, request.change);
  const now = read();
  return { total: 1, entries: now === undefined ? [] : [entryOf(db, now, request.do !== "get" || request.members)] };
}

function insert(db: Database, of: DirectoryOf, kind: ScimKind): string {
  if (count(db, "directory WHERE provider = ?", of.id) >= MAX_ENTRIES_COUNT) throw new ScimRefused(`at most ${MAX_ENTRIES_COUNT} resources`, undefined, 507);
  const id = randomText(16);
  db.run("INSERT INTO directory (id, provider, kind, data) VALUES (?, ?, ?, ?)", id, of.id, kind, kind === "Users" ? '{"active":true}' : "{}");
  return id;
}

function change(db: Database, of: DirectoryOf, row: DirectoryRow, { members = [], ...asked }: ScimChange): void {
  const { id, kind } = row;
  const before = dataOf(row);
  const data = { ...before, ...asked };
  const users = kind === "Users";
  const key = keyName(of);
  if (data.name === undefined || (users && (data[key] ?? "") === "")) throw new ScimRefused(users ? `userName and ${key}` : "displayName", "invalidValue");
  // Who somebody is never changes under them: another externalId is another entry.
  if (users && key === "externalId" && before.externalId !== undefined && data.externalId !== before.externalId) throw new ScimRefused("externalId", "mutability");
  db.run("UPDATE directory SET data = ? WHERE id = ?", JSON.stringify(data), id);
  if (users) {
    // The same person again: what barred them ends. Who gets the address of somebody who left is another.
    if (row.revision === 0 && key === "externalId") db.run("DELETE FROM directory WHERE provider = ? AND gone = 1 AND data ->> 'externalId' = ?", of.id, data.externalId);
    if (row.revision === 0 || data.active !== before.active || data[key] !== before[key]) touch(db, [id]);
    return;
  }
  const were = new Set(membersOf(db, id));
  const are = new Set(were);
  for (const { add, ids } of members) {
    if (ids === "all") are.clear();
    else for (const member of ids) are[add ? "add" : "delete"](member);
  }
  const concerned = data.name === before.name ? new Set<string>() : new Set(were);
  for (const member of are) {
    if (were.has(member)) continue;
    if (count(db, "directory WHERE id = ? AND provider = ? AND kind = 'Users' AND gone = 0", member, of.id) === 0) throw new ScimRefused("members", "invalidValue");
    db.run("INSERT INTO directory_members (group_id, user_id) VALUES (?, ?)", id, member);
    concerned.add(member);
  }
  for (const member of were) {
    if (are.has(member)) continue;
    db.run("DELETE FROM directory_members WHERE group_id = ? AND user_id = ?", id, member);
    concerned.add(member);
  }
  if (are.size > were.size && count(db, "directory_members") > MAX_MEMBERSHIPS_COUNT) throw new ScimRefused(`at most ${MAX_MEMBERSHIPS_COUNT} memberships`, undefined, 507);
  touch(db, concerned);
}

function remove(db: Database, row: DirectoryRow): void {
  const { id, kind } = row;
  const concerned = kind === "Users" ? [id] : membersOf(db, id);
  const { externalId, email } = dataOf(row);
  if (kind === "Users") db.run("UPDATE directory SET gone = 1, data = ?, rowid = (SELECT max(rowid) + 1 FROM directory) WHERE id = ?", JSON.stringify({ externalId, email, active: false }), id);
  else db.run("DELETE FROM directory WHERE id = ?", id);
  db.run("DELETE FROM directory_members WHERE group_id = ? OR user_id = ?", id, id);
  touch(db, concerned);
}

function touch(db: Database, ids: Iterable<string>): void {
  for (const id of ids) db.run("UPDATE directory SET revision = revision + 1 WHERE id = ?", id);
}

/** Users whose newest revision has not taken effect yet, those who lose everything first. */
export function unsettled(db: Database, provider: string): readonly DirectoryRow[] {
  return db.all<DirectoryRow>("SELECT * FROM directory WHERE provider = ? AND revision > settled ORDER BY data ->> 'active'", provider);
}

export function settle(db: Database, { id, revision }: DirectoryRow): void {
  db.run("UPDATE directory SET settled = max(settled, ?) WHERE id = ?", revision, id);
}

/** What joins people and entries. */
const keyName = ({ match }: DirectoryOf): "externalId" | "email" => (match === "sub" ? "externalId" : "email");

/** The person whom a change of an entry concerns, if they ever signed in: as a sign-in found, or by what joins them. */
export function personOf(db: Database, of: DirectoryOf, row: DirectoryRow): string | undefined {
  if (row.person !== null) return row.person;
  const people = db.all<{ id: string }>(`SELECT id FROM people WHERE issuer = ? AND ${of.match} = ? LIMIT 2`, of.issuer, dataOf(row)[keyName(of)] ?? null);
  return people.length === 1 ? people[0]?.id : undefined;
}

/** What that person is told of the change: of two entries that could be theirs an end counts, and groups are never another's. */
export function standingAfter(db: Database, of: DirectoryOf, row: DirectoryRow, person: string, now: Millis): Standing {
  const data = dataOf(row);
  return data.active === true ? standingBy(db, of, find(db, of, person, data[keyName(of)]), now) : "inactive";
}

/** What the directory says of somebody who signs in; from here on the entry is theirs. */
export function standing(db: Database, of: DirectoryOf, person: { readonly id: string; readonly sub: string; readonly email?: string }, now: Millis): Standing {
  const found = find(db, of, person.id, person[of.match]);
  if (typeof found === "object") db.run("UPDATE directory SET person = ? WHERE id = ?", person.id, found.id);
  return standingBy(db, of, found, now);
}

function find(db: Database, of: DirectoryOf, person: string, key: string | null | undefined): DirectoryRow | "unknown" | "inactive" {
  const rows = db.all<DirectoryRow & { rowid: number }>(`SELECT rowid, * FROM directory WHERE provider = ? AND kind = 'Users' AND (person = ? OR data ->> '${keyName(of)}' = ?) ORDER BY gone, person IS NULL`, of.id, person, key ?? null);
  // One that somebody else was found in before is theirs, whatever its address says now.
  const mine = rows.filter((row) => row.person === null || row.person === person);
  // Who was deleted comes back by a new entry, not by one that was another's all along.
  const left = Math.max(...mine.map((row) => (row.gone === 1 && row.person !== null ? row.rowid : 0)));
  const live = mine.filter((row) => row.gone === 0 && (row.person !== null || row.rowid > left));
  const [found] = live;
  if (found === undefined) return mine.length > 0 ? "inactive" : "unknown";
  // Two that could be this person: the worse counts, and nobody can say whose groups they are.
  if (live.some((row) => dataOf(row).active !== true)) return "inactive";
  return found.person === null && live.length > 1 ? "unknown" : found;
}

function standingBy(db: Database, of: DirectoryOf, found: ReturnType<typeof find>, now: Millis): Standing {
  if (typeof found === "string") return found;
  const groups = groupsOf(db, of, found.id);
  return groups === undefined ? "unknown" : { groups, at: now };
}

/** A user's groups as policies name them; undefined if they are too many: half a list is no list. */
function groupsOf(db: Database, of: DirectoryOf, user: string): readonly string[] | undefined {
  const rows = db.all<{ name: string }>("SELECT data ->> 'name' AS name FROM directory_members JOIN directory ON id = group_id WHERE user_id = ? ORDER BY name LIMIT ?", user, MAX_GROUPS_COUNT + 1);
  return rows.length > MAX_GROUPS_COUNT ? undefined : rows.map(({ name }) => `${of.id}:${name}`);
}
