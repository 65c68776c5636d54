/** Setting up an edge for which no operator is named yet: a fresh one, as far as `postern setup` can tell. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SetUpAnswer, VersionsAnswer } from "../../protocol/admin-api.ts";
import { type Stack, startStack } from "../../start/stack.ts";
import { temporaryState } from "../start/running-stack.ts";
import { jsonOf, type Ran, runCommand } from "./run-command.ts";

const STACK_MS = 60_000;
const MANY = 50;
const OPEN = "version: 1\ndomain: postern.localhost\nsites: [{ id: office }]\n";
const NAMED = `${OPEN}policies:\n  - { id: operators, effect: allow, apps: ["postern:admin"], when: { service: [ops] }, limits: { role: operator } }\n`;

const state = temporaryState();
const folder = mkdtempSync(join(tmpdir(), "postern-cli-"));
const place = (name: string): string => join(folder, name);
let stack: Stack | undefined;

const setup = (file: string, ...more: readonly string[]): Promise<Ran> =>
  runCommand(["setup", place(file), "--edge", stack?.launcher ?? "", "--key-file", join(state.path, "setup-key"), ...more]);

beforeAll(async () => {
  writeFileSync(place("open.yaml"), OPEN);
  writeFileSync(place("named.yaml"), NAMED);
  stack = await startStack({ stateDirectory: state.path, port: 0, environment: {}, documentFile: place("open.yaml"), withoutConnectors: true });
}, STACK_MS);
afterAll(async () => {
  await stack?.stop();
  state.remove();
  rmSync(folder, { recursive: true });
}, STACK_MS);

describe("postern setup", () => {
  it("warns that a document without an operator leaves the door open, and hands out a working token", async () => {
    const ran = await setup("open.yaml", "--token-file", place("first-token"));
    expect(ran.exit).toBe(0);
    expect(ran.err).toContain("warning: the document names no operator");
    const token = readFileSync(place("first-token"), "utf8").trim();
    expect(ran.out + ran.err).not.toContain(token);
    expect(statSync(place("first-token")).mode & 0o077).toBe(0);
    expect((await runCommand(["history", "--edge", stack?.launcher ?? "", "--token-file", place("first-token")])).out).toMatch(/^2 \(live\)/m);
  });

  it("says which line is wrong, and keeps no empty token file", async () => {
    writeFileSync(place("wrong.yaml"), OPEN.replace("sites", "sitse"));
    const ran = await setup("wrong.yaml", "--token-file", place("none"));
    expect(ran.exit).toBe(1);
    expect(ran.err).toMatch(/wrong\.yaml:3:1: .*sitse/);
    expect(() => statSync(place("none"))).toThrow();
  });

  it(`of ${MANY} at once with an operator in the document, one succeeds, and its token operates`, async () => {
    const all = await Promise.all(Array.from({ length: MANY }, () => setup("named.yaml", "--json")));
    const done = all.filter((one) => one.exit === 0);
    expect(done).toHaveLength(1);
    const codes = all.filter((one) => one.exit !== 0).map((one) => jsonOf<{ error: { code: string } }>(one).error.code);
    expect(codes).toEqual(Array<string>(MANY - 1).fill("setup_closed"));
    const [answer] = done.map((one) => jsonOf<SetUpAnswer>(one));
    expect(answer).toMatchObject({ version: 3, previous: 2, setup_closed: true, receipt: { complete: true } });
    const history = await runCommand(["history", "--json", "--edge", stack?.launcher ?? "", "--token-file", "-"], { stdin: answer?.token ?? "" });
    expect(jsonOf<VersionsAnswer>(history).map((one) => one.version)).toEqual([3, 2, 1]);
  });

  it("stays refused", async () => {
    const ran = await setup("named.yaml");
    expect(ran.exit).toBe(1);
    expect(ran.err).toContain("Setup is over");
  });
});
