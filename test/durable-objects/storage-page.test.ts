import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AUDIT_MIGRATIONS } from "../../durable-objects/audit/schema.ts";
import { CONTROL_MIGRATIONS } from "../../durable-objects/control/schema.ts";
import { RING_KEYS } from "../../durable-objects/signer/schema.ts";
import type { Attachment } from "../../durable-objects/tunnel/attachments.ts";

const FOLDER = join(import.meta.dirname, "../../durable-objects");
const page = readFileSync(join(FOLDER, "STORAGE.md"), "utf8");
const OBJECTS = ["control", "user", "session", "tunnel", "audit", "signer", "device"] as const;

/** "### name" by "## object". */
function headings(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let object = "";
  for (const [, marks, name] of page.matchAll(/^(#{2,3}) (.+)$/gm)) {
    if (marks === "##") found.set((object = name ?? ""), []);
    else found.get(object)?.push(name ?? "");
  }
  return found;
}

const tablesOf = (steps: readonly string[]): string[] => steps.flatMap((step) => [...step.matchAll(/CREATE TABLE (\w+)/g)].map((match) => match[1] ?? ""));
const columnsOf = (steps: readonly string[]): [string, string[]][] =>
  steps.flatMap((step) => {
    const [, table, body] = /CREATE TABLE (\w+) \(([^]*)\)\s*$/.exec(step) ?? [];
    if (table === undefined || body === undefined) return [];
    const columns = body.split(/,(?![^(]*\))/).map((part) => part.trim().split(/\s/)[0] ?? "");
    return [[table, columns.filter((name) => name !== "PRIMARY")] as [string, string[]]];
  });

/** The keys that an object's own folder writes; a key that cannot be read off the source is an error. */
function keysOf(object: string): string[] {
  const keys = new Set<string>();
  for (const file of readdirSync(join(FOLDER, object)).filter((name) => name.endsWith(".ts"))) {
    const source = readFileSync(join(FOLDER, object, file), "utf8");
    for (const [, argument] of source.matchAll(/(?:\bkv|#store|#kept)\.put\(\s*("[^"]*"|[^,]*),/g)) {
      const key = nameOf(argument ?? "", source);
      if (key === undefined) throw new Error(`${object}/${file} writes under ${argument}, which this test cannot read`);
      for (const one of key) keys.add(one);
    }
  }
  return [...keys];
}

function nameOf(argument: string, source: string): string[] | undefined {
  const literal = /^"([^"]+)"$/.exec(argument)?.[1];
  if (literal !== undefined) return [literal];
  if (argument.startsWith("RING_KEYS[")) return Object.values(RING_KEYS);
  const constant = /^([A-Z_]+)\b/.exec(argument)?.[1];
  if (constant !== undefined) {
    const value = new RegExp(`const ${constant} = "([^"]+)"`).exec(source)?.[1];
    return value === undefined ? undefined : [value];
  }
  const call = /^(\w+)\(/.exec(argument)?.[1];
  if (call === undefined) return undefined;
  // A prefix in the text that the function makes, or a constant that it puts in front.
  const prefix = new RegExp(`const ${call} = .*\`([^$\`]+)\\$`).exec(source)?.[1];
  const before = new RegExp(`const ${call} = .* => ([A-Z_]+) \\+ `).exec(source)?.[1];
  return prefix !== undefined ? [prefix] : before === undefined ? undefined : nameOf(before, source);
}

const ROLES: Readonly<Record<Attachment["role"], string>> = { connector: "attachment: connector", client: "attachment: client", agent: "attachment: agent" };
const TABLES: Readonly<Record<string, readonly string[]>> = { control: CONTROL_MIGRATIONS, audit: AUDIT_MIGRATIONS };

describe("STORAGE.md", () => {
  it("has a chapter for each object and no other", () => {
    expect([...headings().keys()]).toEqual([...OBJECTS]);
  });

  it.each(OBJECTS)("names every table and key of %s, and no other", (object) => {
    const stored = [...tablesOf(TABLES[object] ?? []), ...keysOf(object), ...(object === "tunnel" ? Object.values(ROLES) : [])];
    expect(stored.length).toBeGreaterThan(0);
    expect(headings().get(object)?.toSorted()).toEqual(stored.toSorted());
  });

  it.each([...columnsOf(CONTROL_MIGRATIONS), ...columnsOf(AUDIT_MIGRATIONS)])("lists the columns of %s", (table, columns) => {
    expect(columns.length).toBeGreaterThan(1);
    expect(page).toContain(`### ${table}\n\`${columns.join(", ")}\``);
  });

  it("every object that has tables has its steps in a schema.ts", () => {
    const others = OBJECTS.filter((object) => TABLES[object] === undefined).flatMap((object) =>
      readdirSync(join(FOLDER, object)).filter((file) => file.endsWith(".ts") && readFileSync(join(FOLDER, object, file), "utf8").includes("CREATE TABLE")),
    );
    expect(others).toEqual([]);
  });
});
