/** What a deployment uploads: built by wrangler as it is, without a warning and within its budget. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { ERROR_TEXTS } from "../../core/error-texts.ts";
import { PROJECT } from "../architecture/source-files.ts";

/** The Worker's modules together, gzip. */
const MAX_BUNDLE_BYTES = 150_000;
const folder = mkdtempSync(join(tmpdir(), "postern-bundle-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("wrangler deploy --dry-run", () => {
  it(`ends without a warning and with at most ${MAX_BUNDLE_BYTES} bytes gzip`, async () => {
    const wrangler = join(dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "bin/wrangler.js");
    const env = { ...process.env, WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", NO_COLOR: "1", CI: "1" };
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [wrangler, "deploy", "--dry-run", "--outdir", folder], { cwd: PROJECT, env });
    expect(`${stdout}${stderr}`).not.toMatch(/warn/i);
    const modules = readdirSync(folder).filter((name) => /\.(?:js|mjs|wasm|txt|bin)$/.test(name));
    expect(modules).toContain("index.js");
    const bytes = modules.reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name))).length, 0);
    expect(bytes).toBeLessThanOrEqual(MAX_BUNDLE_BYTES);
    // The words of errors are read from the assets (docs/decisions/0025).
    const main = readFileSync(join(folder, "index.js"), "utf8");
    expect(Object.values(ERROR_TEXTS).filter(({ text }) => main.includes(text))).toEqual([]);
  });
});
