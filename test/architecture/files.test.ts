/** Every file: opens by saying what it is, has a name that says so, and stays small. */
import { basename } from "node:path";
import { describe, expect, it } from "vitest";
import { projectFiles, read } from "./source-files.ts";

const MAX_LINES = 400;
const files = projectFiles();
const code = files.filter((file) => /\.(?:ts|tsx|mjs)$/.test(file));

describe("files", () => {
  it("each opens with a comment that says what it is; a test's titles say it for it", () => {
    const silent = code.filter((file) => !file.endsWith(".test.ts") && !/^(?:#![^\n]*\n)?(?:\/\*\*|\/\/)/.test(read(file)));
    expect(silent).toEqual([]);
  });

  it("each is named in kebab-case for its concept; no drawers", () => {
    const odd = code.filter((file) => !/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.(?:test|d|config|bench))*\.(?:ts|tsx|mjs)$/.test(basename(file)) || /^(?:utils?|helpers?|common|misc)\./.test(basename(file)));
    expect(odd).toEqual([]);
  });

  it(`no file of code, tests among it, has more than ${MAX_LINES} lines`, () => {
    const long = code.filter((file) => read(file).split("\n").length - 1 > MAX_LINES);
    expect(long).toEqual([]);
  });

  it("no file names a machine's folders", () => {
    const place = new RegExp(["/wo" + "rk/", "/tm" + "p/[a-z]+50", "/ro" + "ot/"].join("|"));
    const text = files.filter((file) => /\.(?:ts|tsx|mjs|md|json|toml|ya?ml|css|html)$/.test(file));
    expect(text.filter((file) => place.test(read(file)))).toEqual([]);
  });

  it("no file is a private key, in a JWK or in PEM", () => {
    const key = new RegExp(['"d" *: *"[A-Za-z0-9_-]{30,}"', "PRIVATE KEY---" + "--[^\"]{0,4}[\\n\\r]"].join("|"));
    expect(files.filter((file) => !/\.(?:png|woff2|ico)$/.test(file) && key.test(read(file)))).toEqual([]);
  });

  it("the lockfile names no download host", () => {
    expect(read("package-lock.json")).not.toMatch(/"resolved": *"http/);
  });
});
