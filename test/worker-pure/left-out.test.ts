/** What wrangler.toml leaves out of packages is not missed, and what the edge must not hold is not in it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { build, type BuildOptions, type Plugin } from "esbuild";
import { describe, expect, it } from "vitest";
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

const FOR_THE_EDGE: BuildOptions = { bundle: true, platform: "browser", format: "esm", logLevel: "silent", external: ["cloudflare:*", "node:*"], entryPoints: [join(PROJECT, "worker/index.ts")], write: false };

describe("what wrangler.toml leaves out", () => {
  it("is found, and belongs to the packages that it is meant for", async () => {
    const turned: { importer: string; path: string }[] = [];
    await build({ ...FOR_THE_EDGE, plugins: [aliases(turned)] });
    expect(turned.filter(({ importer }) => !importer.includes("/node_modules/hono/"))).toEqual([]);
    expect([...new Set(turned.map(({ path }) => path))].sort()).toEqual(Object.keys(ALIAS).sort());
  });

  it("nothing in worker/ mounts another framework or lets hono read a form", () => {
    const sources = projectFiles().filter((file) => file.startsWith("worker/") && isSource(file));
    expect(sources).toContain("worker/app.ts");
    expect(sources.filter((file) => /\.(?:mount|parseBody)\(/.test(read(file)))).toEqual([]);
  });

  it("the edge holds no YAML parser: what it takes has one reading", async () => {
    const { metafile } = await build({ ...FOR_THE_EDGE, metafile: true });
    const inside = Object.keys(metafile.inputs);
    expect(inside).toContain("policy/canonical-text.ts");
    expect(inside.filter((file) => /(?:^|\/)node_modules\/yaml\/|^policy\/(?:yaml-text|parse-document)\.ts$/.test(file))).toEqual([]);
  });
});
