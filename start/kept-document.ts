/**
 * postern.yaml of the state folder. The demo's is the reader's to edit: it is written once, and
 * later starts change nothing in it but addresses of demo parts that moved. That of --config is
 * a copy. Whatever somebody changed is never lost: what would be, is put beside it first.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { parseDocument as parseYaml } from "yaml";
import { z } from "zod";
import { DEMO_SUFFIX, type DemoPart, isDemoPart, type LocalDocument, localDocument, withPort } from "./document.ts";
import { StartError } from "./start-error.ts";
import { readPrivateJson, readWhole, writePrivate, writePrivateJson } from "./state-files.ts";

export type Ports = Readonly<Partial<Record<DemoPart, number>>>;

const PortsByName = z.record(z.string(), z.number());
/** What was written last. `before`: addresses that may still stand in it, after a start that was cut short. */
const Written = z.object({ source: z.enum(["demo", "config"]), digest: z.string(), ports: PortsByName, before: PortsByName.optional() });

export const documentPath = (state: string): string => join(state, "postern.yaml");
const recordPath = (state: string): string => join(state, "document.json");

/** SHA-256 of a text, in hex. */
export const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex");

async function lastWritten(state: string): Promise<z.infer<typeof Written> | undefined> {
  const read = Written.safeParse(await readPrivateJson(recordPath(state)));
  return read.success ? read.data : undefined;
}

const ADDRESS = /(?<![0-9.])127\.0\.0\.1:([0-9]+)/g;

/** Replaces addresses of demo parts in a text; `say` gives what stands for a part instead. */
function readdressed(text: string, known: readonly Readonly<Record<string, number>>[], say: (part: DemoPart, port: number) => string): string {
  const all = known.flatMap((ports) => Object.entries(ports));
  return text.replace(ADDRESS, (address: string, digits: string) => {
    const part = all.find(([, port]) => port === Number(digits))?.[0];
    return part !== undefined && isDemoPart(part) ? say(part, Number(digits)) : address;
  });
}

/** The demo's document as it was left in the state folder; undefined when there is none. Throws StartError when it cannot be served. */
export async function keptDemoDocument(state: string): Promise<LocalDocument | undefined> {
  const file = documentPath(state);
  const [written, text] = [await lastWritten(state), await readWhole(file)];
  if (written?.source !== "demo" || text === undefined) return undefined;
  const known = [written.ports, written.before ?? {}];
  const document = localDocument(readdressed(text, known, (part, port) => `${part}${DEMO_SUFFIX}:${port}`), file);
  if (parseYaml(text).get("domain") !== document.domain) throw new StartError(`the domain in ${file} does not end in .localhost`, `on this machine it is ${document.domain}; serve a document of your own with --config FILE`);
  return {
    ...document,
    render: (ports) => {
      const moved = readdressed(text, known, (part, port) => `127.0.0.1:${ports[part] ?? port}`);
      // Names of demo parts may have been added by hand.
      return document.demoParts.reduce((done, part) => withPort(done, part, ports[part]), moved);
    },
  };
}

/** Writes the document that is to be live. `say` is told when a changed file had to be put aside. */
export async function writeDocument(state: string, source: "demo" | "config", text: string, ports: Ports, say: (line: string) => void): Promise<void> {
  const file = documentPath(state);
  const [written, before] = [await lastWritten(state), await readWhole(file)];
  const goesOn = source === "demo" && written?.source === "demo";
  if (!goesOn && before !== undefined && before !== text && digestOf(before) !== written?.digest) {
    let aside = `${file}.changed`;
    for (let n = 2; existsSync(aside); n++) aside = `${file}.changed-${n}`;
    await rename(file, aside);
    say(`${file} had been changed by hand; it is kept as ${aside}`);
  }
  const record = { source, digest: digestOf(text), ports: { ...(goesOn ? written.ports : {}), ...ports } };
  await writePrivateJson(recordPath(state), { ...record, ...(goesOn ? { before: written.ports } : {}) });
  if (before !== text || !existsSync(file)) await writePrivate(file, text);
  await writePrivateJson(recordPath(state), record);
}
