/** The layers: who may import whom, and which packages each folder may use. */
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { folderOf, isSource, projectFiles, read, SOURCE_FOLDERS, type SourceFolder, withoutComments } from "./source-files.ts";

const PURE = ["core", "policy", "identity", "protocol"] as const;

interface Rule {
  readonly folders: readonly (SourceFolder | "test")[];
  /** Packages, `node:` for all of Node, `cloudflare:` for the Workers runtime. */
  readonly packages: readonly string[];
}
const RULES: Readonly<Record<SourceFolder, Rule>> = {
  core: { folders: [], packages: [] },
  policy: { folders: ["core"], packages: ["valibot", "yaml"] },
  identity: { folders: ["core"], packages: ["@levischuck/tiny-cbor", "@simplewebauthn/server", "jose", "oauth4webapi"] },
  protocol: { folders: ["core"], packages: ["zod"] },
  "durable-objects": { folders: ["core", "policy", "identity", "protocol"], packages: ["cloudflare:", "node:crypto"] },
  worker: { folders: ["core", "policy", "identity", "protocol", "durable-objects"], packages: ["hono", "zod"] },
  channel: { folders: ["core", "protocol", "identity"], packages: ["node:", "@peculiar/asn1-schema", "@peculiar/asn1-x509"] },
  connector: { folders: ["core", "protocol", "identity", "channel"], packages: ["node:", "ws"] },
  agent: { folders: ["core", "protocol", "identity", "channel"], packages: ["node:", "ws"] },
  cli: { folders: ["core", "policy", "protocol", "identity", "agent"], packages: ["node:", "commander", "uqr", "yaml", "zod"] },
  console: { folders: ["core", "policy", "protocol"], packages: [] },
  // Measures the product from outside, by the means of its end-to-end tests; nothing imports it.
  bench: { folders: ["core", "protocol", "durable-objects", "connector", "start", "test"], packages: ["node:", "jose", "ws", "cloudflare:"] },
  start: { folders: ["core", "policy", "identity", "protocol"], packages: ["node:", "jose", "oidc-provider", "wrangler", "ws", "yaml", "zod"] },
};

const IMPORT = /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+["']([^"']+)["']|(?:^|\n)\s*import\s+["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)/g;

const importsOf = (file: string): string[] => [...withoutComments(read(file)).matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
const packageOf = (specifier: string): string => (specifier.startsWith("@") ? specifier.split("/").slice(0, 2).join("/") : (specifier.split("/")[0] ?? specifier));

const sources = projectFiles().filter(isSource);

describe("layers", () => {
  it.each(SOURCE_FOLDERS.filter((folder) => sources.some((file) => folderOf(file) === folder)))("%s imports only what stands below it", (folder) => {
    const rule = RULES[folder];
    const faults: string[] = [];
    for (const file of sources.filter((one) => folderOf(one) === folder)) {
      for (const specifier of importsOf(file)) {
        if (specifier.startsWith(".")) {
          const target = folderOf(normalize(join(dirname(file), specifier)));
          if (target !== folder && !rule.folders.some((allowed) => allowed === target)) faults.push(`${file} imports ${specifier}`);
        } else if (!rule.packages.some((allowed) => (allowed.endsWith(":") ? specifier.startsWith(allowed) : packageOf(specifier) === allowed))) {
          faults.push(`${file} imports the package ${specifier}`);
        }
      }
    }
    expect(faults).toEqual([]);
  });

  it("pure folders ask no clock: no `new Date()` without an argument", () => {
    const faults = sources.filter((file) => PURE.some((folder) => folder === folderOf(file)) && /new Date\(\s*\)|\bDate\(\s*\)/.test(withoutComments(read(file))));
    expect(faults).toEqual([]);
  });

  it("finds the imports that it judges", () => {
    expect(importsOf("test/architecture/layers.test.ts")).toEqual(["node:path", "vitest", "./source-files.ts"]);
  });
});
