/** The lint rules bite: each planted fault is reported. An override that lost a ban would show here. */
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROJECT } from "./source-files.ts";

const PLANTED: readonly { readonly file: string; readonly rule: string; readonly text: string }[] = [
  { file: "core/clock.ts", rule: "no-restricted-properties", text: "export const now = (): number => Date.now();" },
  { file: "policy/chance.ts", rule: "no-restricted-properties", text: "export const chance = (): number => Math.random();" },
  { file: "worker/chance.ts", rule: "no-restricted-properties", text: "export const chance = (): number => Math.random();" },
  { file: "protocol/timer.ts", rule: "no-restricted-globals", text: "export const wait = (): unknown => setTimeout(() => undefined, 1);" },
  { file: "identity/call.ts", rule: "no-restricted-globals", text: 'export const call = (): unknown => fetch("https://example.com");' },
  { file: "policy/framework.ts", rule: "no-restricted-imports", text: 'import { Hono } from "hono";\nexport const app = new Hono();' },
  { file: "core/runtime.ts", rule: "no-restricted-imports", text: 'import { readFileSync } from "node:fs";\nexport const text = readFileSync("x");' },
  { file: "durable-objects/session/framework.ts", rule: "no-restricted-imports", text: 'import { Hono } from "hono";\nexport const app = new Hono();' },
  { file: "durable-objects/session/code.ts", rule: "no-restricted-imports", text: 'import { other } from "../tunnel/machine.ts";\nexport const mine = other;' },
  { file: "durable-objects/audit/up.ts", rule: "no-restricted-imports", text: 'import type { Rpc } from "../control/rpc.ts";\nexport type Mine = Rpc;' },
  { file: "worker/routes/object.ts", rule: "no-restricted-imports", text: 'import { other } from "../../durable-objects/tunnel/machine.ts";\nexport const mine = other;' },
  { file: "connector/framework.ts", rule: "no-restricted-imports", text: 'import { Hono } from "hono";\nexport const app = new Hono();' },
  { file: "cli/forgotten.ts", rule: "no-floating-promises", text: "async function work(): Promise<void> {}\nexport function run(): void {\n  work();\n}" },
  { file: "cli/loose.ts", rule: "no-explicit-any", text: "export const loose = (value: any): unknown => value;" },
  { file: "cli/here.ts", rule: "no-cycle", text: 'import { there } from "./there.ts";\nexport const here = (): unknown => there;' },
  { file: "cli/barrel.ts", rule: "no-barrel-file", text: 'export * from "./there.ts";' },
  { file: "cli/long.ts", rule: "max-lines", text: "export const a = [\n" + "  1,\n".repeat(400) + "];" },
];
/** Allowed things that a careless ban would catch too. */
const INNOCENT: readonly { readonly file: string; readonly text: string }[] = [
  { file: "cli/there.ts", text: 'import { here } from "./here.ts";\nexport const there = (): unknown => here;' },
  { file: "durable-objects/tunnel/machine.ts", text: "export const other = 1;" },
  { file: "durable-objects/control/rpc.ts", text: "export type Rpc = string;" },
  { file: "durable-objects/tunnel/rpc.ts", text: "export type Rpc = string;" },
  { file: "durable-objects/session/types.ts", text: 'import type { Rpc } from "../tunnel/rpc.ts";\nexport type Mine = Rpc;' },
  { file: "worker/routes/types.ts", text: 'import type { Rpc } from "../../durable-objects/tunnel/rpc.ts";\nexport type Mine = Rpc;' },
  { file: "worker/app.ts", text: 'import { Hono } from "hono";\nexport const app = new Hono();' },
  { file: "worker/index.ts", text: 'import { other } from "../durable-objects/tunnel/machine.ts";\nexport const mine = other;' },
];

interface Diagnostic {
  readonly filename: string;
  readonly code: string;
}
let found: readonly Diagnostic[];
const tree = mkdtempSync(join(tmpdir(), "postern-lint-"));

beforeAll(async () => {
  for (const { file, text } of [...PLANTED, ...INNOCENT]) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), `/** Planted. */\n${text}\n`);
  }
  copyFileSync(join(PROJECT, ".oxlintrc.json"), join(tree, ".oxlintrc.json"));
  writeFileSync(join(tree, "tsconfig.json"), JSON.stringify({ compilerOptions: { strict: true, module: "esnext", moduleResolution: "bundler", allowImportingTsExtensions: true, noEmit: true } }));
  symlinkSync(join(PROJECT, "node_modules"), join(tree, "node_modules"));
  const run = promisify(execFile)(join(PROJECT, "node_modules/.bin/oxlint"), ["--format=json"], { cwd: tree, env: { ...process.env, PATH: `${join(PROJECT, "node_modules/.bin")}:${process.env["PATH"] ?? ""}` } });
  const output = await run.then(({ stdout }) => stdout, (cause: { readonly stdout: string }) => cause.stdout);
  found = (JSON.parse(output) as { readonly diagnostics: readonly Diagnostic[] }).diagnostics;
});
afterAll(() => rmSync(tree, { recursive: true, force: true }));

describe("lint", () => {
  it.each(PLANTED)("reports $rule in $file", ({ file, rule }) => {
    expect(found.filter((one) => one.filename === file).map((one) => one.code)).toContainEqual(expect.stringContaining(`(${rule})`));
  });

  it.each(INNOCENT.filter(({ file }) => file !== "cli/there.ts"))("says nothing about $file", ({ file }) => {
    expect(found.filter((one) => one.filename === file)).toEqual([]);
  });
});
