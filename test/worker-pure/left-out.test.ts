/** What wrangler.toml leaves out of packages is not missed: the edge's YAML reader reads every text as the whole one does. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { build, type BuildOptions, type Plugin } from "esbuild";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readYaml } from "../../policy/yaml-text.ts";
import { isSource, PROJECT, projectFiles, read } from "../architecture/source-files.ts";

const table = /^\[alias\]\n((?:".*\n)+)/m.exec(readFileSync(join(PROJECT, "wrangler.toml"), "utf8"))?.[1] ?? "";
const ALIAS: Readonly<Record<string, string>> = Object.fromEntries([...table.matchAll(/^"([^"]+)" = "([^"]+)"$/gm)].map(([, from = "", to = ""]) => [from, to]));

/** Every import that the table turns: who asks, and for what. Resolves as wrangler does, by the whole specifier. */
function aliases(turned: { readonly importer: string; readonly path: string }[]): Plugin {
  return {
    name: "alias",
    setup: (bundler) =>
      bundler.onResolve({ filter: /^\./ }, ({ path, importer }) => {
        const to = ALIAS[path];
        if (to === undefined) return undefined;
        turned.push({ importer, path });
        return { path: join(PROJECT, to) };
      }),
  };
}

const folder = mkdtempSync(join(tmpdir(), "postern-yaml-"));
const FOR_THE_EDGE: BuildOptions = { bundle: true, platform: "browser", format: "esm", logLevel: "silent", external: ["cloudflare:*", "node:*"] };
let readAtTheEdge: typeof readYaml;
beforeAll(async () => {
  const outfile = join(folder, "reader.mjs");
  await build({ ...FOR_THE_EDGE, entryPoints: [join(PROJECT, "policy/yaml-text.ts")], outfile, plugins: [aliases([])] });
  ({ readYaml: readAtTheEdge } = (await import(outfile)) as { readYaml: typeof readYaml });
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What a caller can learn of a text: its value and the place of each part of it, or its problems. */
function reading(read: typeof readYaml, text: string): unknown {
  const source = read(text);
  if (!source.ok) return source.error;
  const places: unknown[] = [];
  const walk = (value: unknown, path: readonly (string | number)[]): void => {
    places.push([path, source.value.position(path), source.value.position(path, true)]);
    if (typeof value === "object" && value !== null) for (const [key, inner] of Object.entries(value)) walk(inner, [...path, Array.isArray(value) ? Number(key) : key]);
  };
  walk(source.value.value, []);
  return { value: source.value.value, places };
}
function expectSame(text: string): void {
  expect(reading(readAtTheEdge, text)).toEqual(reading(readYaml, text));
}

/** What YAML is made of, and what only a part that is left out would know. */
const FRAGMENTS = [
  "a", "b: ", "c:\n", "key: ", "\n", "\n  ", "\n    ", " ", "- ", "\n- ", "? ", ": ", "[", "]", "{", "}", ",", ", ", '"d"', "'e'", '"\\u00e9\\n"', "|\n  ", ">-\n  ", "|2+\n   ", "# f\n", " # g", "\t", "&h ", "*h", "<<: ",
  "!!set ", "!!omap ", "!!pairs ", "!!binary ", "!!timestamp ", "!!merge ", "!!str ", "!!int ", "!!float ", "!!null ", "!!bool ", "!!map ", "!!seq ", "! ", "!own ", "!<tag:yaml.org,2002:set> ", "%YAML 1.1\n", "%YAML 1.2\n", "%TAG ! tag:a.test,2026:\n", "---\n", "--- ", "...\n",
  "1", "-2", "0o17", "0x1f", "1.50", ".5", "6e3", ".inf", "-.INF", ".nan", "0b1", "1_000", "12:30", "2026-11-22", "2026-11-22T10:00:00Z", "true", "False", "yes", "no", "null", "~", "__proto__: ", "\uFEFF", "\r\n", "é", "🙂",
] as const;

describe("what wrangler.toml leaves out", () => {
  it("is found, and belongs to the packages that it is meant for", async () => {
    const turned: { importer: string; path: string }[] = [];
    await build({ ...FOR_THE_EDGE, entryPoints: [join(PROJECT, "worker/index.ts")], write: false, plugins: [aliases(turned)] });
    expect(turned.filter(({ importer, path }) => !importer.includes(path.startsWith("./utils/") ? "/node_modules/hono/" : "/node_modules/yaml/"))).toEqual([]);
    expect([...new Set(turned.map(({ path }) => path))].sort()).toEqual(Object.keys(ALIAS).sort());
  });

  it("nothing in worker/ mounts another framework or lets hono read a form", () => {
    const sources = projectFiles().filter((file) => file.startsWith("worker/") && isSource(file));
    expect(sources).toContain("worker/app.ts");
    expect(sources.filter((file) => /\.(?:mount|parseBody)\(/.test(read(file)))).toEqual([]);
  });

  it.each(["start/demo.yaml", "examples/smallest/postern.yaml", "examples/private-web-app/postern.yaml", "examples/database-over-tcp/postern.yaml"])("%s is read alike", (file) => {
    const text = readFileSync(join(PROJECT, file), "utf8");
    expect(reading(readAtTheEdge, text), basename(file)).toHaveProperty("value.version", 1);
    expectSame(text);
  });

  it.each([
    "!!set { a, b }", "!!omap [a: 1]", "!!pairs [a: 1, a: 2]", "!!binary aGVsbG8=", "!!timestamp 2026-11-22", "a: { <<: { b: 1 } }", "!!merge <<: { b: 1 }", "? { a: 1 }\n: b", "? [a]\n: b", "1: a", "null: a", "~: a", "&a a: *a", "a: &a [*a]",
    "%YAML 1.1\n---\na: yes\nb: 0o17\nc: 12:30\nd: 2026-11-22\n", "%YAML 3.0\n---\na: 1", "a: 1\n---\nb: 2", "a: 1.50\nb: 0x1F\nc: 6e3\nd: .inf\n", "a: |\n  b\n\n  c\nd: >-\n  e\n  f\n", "", "# nothing", "a: [", "\ta: 1", "a: 1\na: 2",
  ])("%j is read alike", expectSame);

  it("every text of YAML's own words is read alike", () => {
    let documents = 0;
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 16 }), (parts) => {
        const text = parts.join("");
        expectSame(text);
        if (readYaml(text).ok) documents += 1;
      }),
      { numRuns: 2_000 },
    );
    expect(documents, "texts that are documents").toBeGreaterThan(200);
  });
});
