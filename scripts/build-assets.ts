/**
 * Makes dist/assets, what the Worker serves as files: the connector bundled into connector.mjs, one
 * file for Node 24 without native code, its SHA-256 beside it in sha256sum's format, the files that
 * pages load, and the words of the error codes. Prints the connector's sizes.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { ERROR_TEXTS } from "../core/error-texts.ts";
import { ERROR_WORDS_FILE } from "../worker/error-words.ts";
import { PAGE_FILES } from "../worker/pages/headers.ts";

const root = join(import.meta.dirname, "..");
const assets = join(root, "dist", "assets");
const outfile = join(assets, "connector.mjs");

/** ws loads these natives if they are there; the bundle must not look for them. */
const OPTIONAL_NATIVES = ["bufferutil", "utf-8-validate"];

/** Whole or not at all: another build may be reading the folder. */
function place(file: string, bytes: string | Uint8Array): void {
  writeFileSync(`${file}.${process.pid}`, bytes);
  renameSync(`${file}.${process.pid}`, file);
}

mkdirSync(assets, { recursive: true });
for (const path of Object.keys(PAGE_FILES)) place(join(assets, basename(path)), readFileSync(join(root, "worker", "pages", basename(path))));
place(join(assets, ERROR_WORDS_FILE), JSON.stringify(ERROR_TEXTS));
const built = await build({
  entryPoints: [join(root, "connector", "main.ts")],
  outfile,
  write: false,
  bundle: true,
  platform: "node",
  target: "node24",
  format: "esm",
  minify: true,
  legalComments: "inline",
  external: OPTIONAL_NATIVES,
  define: { "process.env.WS_NO_BUFFER_UTIL": '"1"', "process.env.WS_NO_UTF_8_VALIDATE": '"1"' },
  // ws is CommonJS and asks for node's own modules by require.
  banner: { js: '#!/usr/bin/env node\nimport { createRequire as posternRequire } from "node:module"; const require = posternRequire(import.meta.url);' },
  logLevel: "warning",
});
const bytes = built.outputFiles[0]?.contents ?? new Uint8Array();
place(outfile, bytes);
const digest = createHash("sha256").update(bytes).digest("hex");
place(`${outfile}.sha256`, `${digest}  connector.mjs\n`);
process.stdout.write(`${JSON.stringify({ file: "dist/assets/connector.mjs", bytes: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, sha256: digest })}\n`);
