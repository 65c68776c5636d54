/**
 * The edge's bundle, built by `wrangler deploy --dry-run` exactly as a deployment builds it, and
 * kept by the hash of everything that went in, so that the second start takes no build.
 * Not a development server: nothing is watched.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, extname, join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { plainEnvironment } from "./processes.ts";
import { StartError } from "./start-error.ts";
import { type WorkerSettings, workerSettings } from "./worker-settings.ts";

const run = promisify(execFile);
/** Longest a build may take before it counts as hung. */
const BUILD_TIMEOUT_MS = 120_000;
/** Where a clone keeps its bundles. */
export const EDGE_CACHE = join(import.meta.dirname, "../node_modules/.cache/postern-edge");
/** Bundles kept; older ones are removed so that the cache stays bounded. */
const KEPT_BUNDLE_COUNT = 6;

export type ModuleKind = "esModule" | "text" | "data" | "wasm";
export interface BundleModule {
  readonly name: string;
  readonly kind: ModuleKind;
}
export interface EdgeBundle {
  /** Folder that holds the modules, named by the hash of what they were built from. */
  readonly directory: string;
  readonly modules: readonly BundleModule[];
  readonly settings: WorkerSettings;
}

const KINDS: Readonly<Record<string, ModuleKind>> = {
  ".js": "esModule",
  ".mjs": "esModule",
  ".wasm": "wasm",
  ".bin": "data",
  ".txt": "text",
  ".html": "text",
  ".css": "text",
  ".sql": "text",
};
/** Written last into a bundle's folder: the folder is whole if it is there. */
const SETTINGS_FILE = "settings.json";
/** Inside a bundle's folder: the files that the Worker serves. */
export const ASSETS_FOLDER = "assets";
/** What such files are made from. */
const ASSET_SOURCE = /\.(?:ts|js|css|svg)$/;
const Extra = z.looseObject({
  assets: z.looseObject({ directory: z.string() }).optional(),
  build: z.looseObject({ command: z.string().optional(), watch_dir: z.union([z.string(), z.array(z.string())]).optional() }).optional(),
});
const Pointer = z.object({ inputs: z.array(z.string()) });
const Meta = z.object({ inputs: z.record(z.string(), z.unknown()) });

const projectRequire = createRequire(import.meta.url);
const wranglerRoot = dirname(projectRequire.resolve("wrangler/package.json"));

/** Hash over the names and contents of the files; undefined when one is missing. */
async function hashFiles(root: string, files: readonly string[]): Promise<string | undefined> {
  const hash = createHash("sha256");
  for (const file of files) {
    const content = await readFile(resolve(root, file)).catch(() => undefined);
    if (content === undefined) return undefined;
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 32);
}

async function openBundle(directory: string): Promise<EdgeBundle> {
  const settings = workerSettings(JSON.parse(await readFile(join(directory, SETTINGS_FILE), "utf8")));
  const names = (await readdir(directory)).filter((name) => KINDS[extname(name)] !== undefined).sort();
  // workerd takes the first module as the Worker; wrangler names it after the source file.
  const ordered = [settings.mainModule, ...names.filter((name) => name !== settings.mainModule)];
  return { directory, settings, modules: ordered.map((name) => ({ name, kind: KINDS[extname(name)] ?? "data" })) };
}

async function build(configPath: string, into: string): Promise<string[]> {
  const root = dirname(configPath);
  const env = { ...plainEnvironment(), WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", WRANGLER_WRITE_LOGS: "false", WRANGLER_LOG_PATH: join(into, "log"), CI: "1", NO_COLOR: "1" };
  const options = { cwd: root, env, timeout: BUILD_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 };
  const [config] = await Promise.all([
    run(process.execPath, [join(import.meta.dirname, "read-wrangler-config.ts"), configPath], options),
    run(process.execPath, [join(wranglerRoot, "bin/wrangler.js"), "deploy", "--dry-run", "--outdir", into, "--metafile", join(into, "meta.json"), "--config", configPath], options),
  ]).catch((cause: unknown) => {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr) : String(cause);
    throw new StartError(`the edge does not build:\n${said.trim()}`, "correct the error above; `npx tsc -b` often says more");
  });
  await writeFile(join(into, SETTINGS_FILE), config.stdout);
  const meta = Meta.parse(JSON.parse(await readFile(join(into, "meta.json"), "utf8")));
  const inputs = Object.keys(meta.inputs).filter((name) => existsSync(resolve(root, name)));
  const version = relative(root, join(wranglerRoot, "package.json"));
  const extra = Extra.parse(JSON.parse(config.stdout));
  // What the Worker serves is part of the bundle, and what it is made from part of its hash.
  await mkdir(join(into, ASSETS_FOLDER), { recursive: true });
  if (extra.assets !== undefined) await cp(resolve(root, extra.assets.directory), join(into, ASSETS_FOLDER), { recursive: true });
  const watched = await Promise.all([extra.build?.command === undefined ? [] : (extra.build.watch_dir ?? [])].flat().map((folder) => sourcesOf(root, folder)));
  return [relative(root, configPath), version, ...new Set([...inputs, ...watched.flat()])].sort();
}

async function sourcesOf(root: string, folder: string): Promise<string[]> {
  const names = await readdir(resolve(root, folder), { recursive: true });
  return names.filter((name) => ASSET_SOURCE.test(name)).map((name) => join(relative(root, resolve(root, folder)), name));
}

async function prune(cache: string): Promise<void> {
  const kept = await Promise.all(
    (await readdir(cache, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory())
      .map(async (entry) => ({ path: join(cache, entry.name), at: (await stat(join(cache, entry.name)).catch(() => undefined))?.mtimeMs ?? 0 })),
  );
  const old = kept.sort((a, b) => b.at - a.at).slice(KEPT_BUNDLE_COUNT);
  await Promise.all(old.map((entry) => rm(entry.path, { recursive: true, force: true })));
}

/**
 * The bundle of the Worker that `configPath` (a wrangler.toml) describes, from `cache` when no
 * input changed. Throws StartError with the builder's words when it does not build.
 */
export async function edgeBundle(configPath: string, cache: string): Promise<EdgeBundle> {
  const root = dirname(resolve(configPath));
  const config = resolve(configPath);
  await mkdir(cache, { recursive: true });
  const pointerFile = join(cache, `${createHash("sha256").update(config).digest("hex").slice(0, 16)}.json`);
  const pointer = Pointer.safeParse(await readFile(pointerFile, "utf8").then(JSON.parse).catch(() => undefined));
  if (pointer.success) {
    const hash = await hashFiles(root, pointer.data.inputs);
    if (hash !== undefined && existsSync(join(cache, hash, SETTINGS_FILE))) return openBundle(join(cache, hash));
  }
  const fresh = await mkdtemp(join(cache, "build-"));
  try {
    const inputs = await build(config, fresh);
    const hash = await hashFiles(root, inputs);
    if (hash === undefined) throw new StartError("a source file vanished while the edge was built", "start again");
    const directory = join(cache, hash);
    await rename(fresh, directory).catch(async () => {
      // Another start built the same bundle first; its folder is as good as ours.
      await rm(fresh, { recursive: true, force: true });
    });
    await writeFile(`${pointerFile}.${process.pid}`, JSON.stringify({ inputs }));
    await rename(`${pointerFile}.${process.pid}`, pointerFile);
    await prune(cache);
    return await openBundle(directory);
  } catch (cause) {
    await rm(fresh, { recursive: true, force: true });
    throw cause;
  }
}
