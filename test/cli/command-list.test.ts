/** The list of commands is the same in the program, in --help and in docs/cli.md; wrong usage ends with 2. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { EVERY_COMMAND } from "../../cli/every-command.ts";
import { commandNames, makeProgram } from "../../cli/program.ts";
import { read } from "../architecture/source-files.ts";
import { runCommand } from "./run-command.ts";

const program = makeProgram({ perform: () => Promise.resolve() }, () => undefined, EVERY_COMMAND);
const names = commandNames(program);
const folder = mkdtempSync(join(tmpdir(), "postern-cli-"));
const tokenFile = join(folder, "token");
writeFileSync(tokenFile, "pst_AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", { mode: 0o600 });
const env = { POSTERN_EDGE: "http://127.0.0.1:9", POSTERN_TOKEN_FILE: tokenFile };
afterAll(() => rmSync(folder, { recursive: true }));

/** Names that a help text lists under "Commands:". */
const listed = (help: string): string[] => [...(help.split("Commands:\n")[1]?.split("\n\n")[0] ?? "").matchAll(/^ {2}([a-z-]+)/gm)].map((match) => match[1] ?? "");

describe("the list of commands", () => {
  it("is that of --help", async () => {
    const top = listed((await runCommand(["--help"])).out);
    const all = await Promise.all(
      top.map(async (name) => {
        const below = listed((await runCommand([name, "--help"])).out);
        return below.length === 0 ? [name] : below.map((child) => `${name} ${child}`);
      }),
    );
    expect(all.flat()).toEqual(names);
  });

  it("comes with a version", async () => {
    const { version } = JSON.parse(read("package.json")) as { version: string };
    expect(await runCommand(["--version"])).toEqual({ exit: 0, out: `${version}\n`, err: "" });
  });

  it("is that of the headings of docs/cli.md", () => {
    const headings = [...read("docs/cli.md").matchAll(/^### `postern ([a-z- ]+?)(?: [A-Z<[].*)?`$/gm)].map((match) => match[1]);
    expect(headings).toEqual(names);
  });

  it.each(names)("%s takes --edge, --token-file, --ca, --json and --help, and the docs name each option of its own", async (name) => {
    const { exit, out } = await runCommand([...name.split(" "), "--help"]);
    expect(exit).toBe(0);
    const options = [...out.matchAll(/^ {2}(?:-[a-zA-Z], )?(--[a-z-]+)/gm)].map((match) => match[1] ?? "");
    expect(options).toEqual(expect.arrayContaining(["--edge", "--token-file", "--ca", "--json", "--help"]));
    const section = read("docs/cli.md").split(/^### /m).find((one) => one.startsWith(`\`postern ${name} `) || one.startsWith(`\`postern ${name}\``)) ?? "";
    const own = options.filter((option) => !["--edge", "--token-file", "--ca", "--json", "--help"].includes(option));
    expect(own.filter((option) => !section.includes(option))).toEqual([]);
  });

  it("shows help without arguments", async () => {
    const bare = await runCommand([]);
    expect(bare.exit).toBe(0);
    expect(bare.out).toBe((await runCommand(["--help"])).out);
  });
});

describe("wrong usage", () => {
  it.each<[string, readonly string[], Readonly<Record<string, string>>?]>([
    ["an unknown command", ["launch"]],
    ["an unknown option", ["sessions", "--fast"]],
    ["a token on the command line", ["sessions", "--token", "pst_x"]],
    ["an argument too many", ["sessions", "now"]],
    ["an argument too few", ["revoke", "user"]],
    ["a group without its command", ["service"]],
    ["an unknown kind", ["revoke", "planet", "x"]],
    ["no edge", ["sessions"], { POSTERN_TOKEN_FILE: tokenFile }],
    ["an empty edge", ["sessions"], { POSTERN_EDGE: "", POSTERN_TOKEN_FILE: tokenFile }],
    ["no token", ["sessions"], { POSTERN_EDGE: "http://127.0.0.1:9" }],
    ["an edge that is no URL", ["sessions", "--edge", "access.example.com"]],
    ["an edge with a password", ["sessions", "--edge", "https://a:b@access.example.com"]],
    ["http beyond loopback", ["sessions", "--edge", "http://access.example.com"]],
    ["http beyond loopback, by a look-alike", ["sessions", "--edge", "http://localhost.example.com"]],
    ["setup without a key file", ["setup", "postern.yaml"]],
    ["a version that is none", ["apply", "postern.yaml", "--expect-version", "one"]],
    ["a service without an end", ["service", "create", "ci"]],
    ["a service with a bad name", ["service", "create", "Postern:Setup", "--expires", "1d"]],
    ["a duration that is none", ["service", "create", "ci", "--expires", "soon"]],
    ["a site that is no name", ["enroll-token", "$(id)"]],
    ["nothing to explain", ["explain"]],
    ["a drill with no connections", ["drill", "--streams", "0"]],
    ["a drill with too many", ["drill", "--streams", "51"]],
    ["a drill at what is no app's id", ["drill", "--app", "Canary"]],
    ["a drill of one thing", ["drill", "canary"]],
    ["facts without an app", ["explain", "--facts", "x"]],
    ["facts beside an id", ["explain", "r_x", "--facts", "x"]],
    ["an instant without a zone", ["explain", "--facts", tokenFile, "--app", "x", "--policy", tokenFile, "--at", "2026-11-18T10:00:00"]],
    ["a relative URL", ["curl", "/x"]],
    ["another scheme", ["curl", "ftp://127.0.0.1:9/"]],
    ["a method that is none", ["curl", "http://127.0.0.1:9/", "-X", "GET /"]],
    ["a header with a line break", ["curl", "http://127.0.0.1:9/", "-H", "A: b\r\nHost: c"]],
    ["a header that says who asks", ["curl", "http://127.0.0.1:9/", "-H", "Postern-Client-Id: x"]],
    ["the token for a stranger", ["curl", "https://example.com/"]],
    ["the token for another port of the edge's host", ["curl", "http://127.0.0.1:10/"]],
    ["init with nobody to ask", ["init", "--yes", "--out", folder]],
    ["init with a domain that is none", ["init", "--yes", "--out", folder, "--routes", "wildcard", "--domain", "https://x", "--issuer", "https://l.example.com", "--client-id", "p", "--operator-email", "a@example.com"]],
    ["init with a route kind that is none", ["init", "--yes", "--out", folder, "--routes", "tree", "--domain", "a.example.com", "--issuer", "https://l.example.com", "--client-id", "p", "--operator-email", "a@example.com"]],
    ["init with an app that is none", ["init", "--yes", "--out", folder, "--routes", "wildcard", "--domain", "a.example.com", "--app", "wiki", "--issuer", "https://l.example.com", "--client-id", "p", "--operator-email", "a@example.com"]],
    ["init with an issuer that is none", ["init", "--yes", "--out", folder, "--routes", "wildcard", "--domain", "a.example.com", "--issuer", "http://l.example.com", "--client-id", "p", "--operator-email", "a@example.com"]],
  ])("%s ends with 2, and says what, why and what to do", async (_title, argv, own = env) => {
    const ran = await runCommand(argv, { env: own });
    expect(ran).toMatchObject({ exit: 2, out: "" });
    expect(ran.err).toMatch(/^error: .+$/m);
    expect(ran.err).toMatch(/^why: .+$/m);
    expect(ran.err).toMatch(/^fix: .+$/m);
  });

  it("guesses what was meant", async () => {
    expect((await runCommand(["sesions"])).err).toContain("sessions");
  });

  it("prints the failure as JSON too with --json", async () => {
    const ran = await runCommand(["sessions", "--json"]);
    expect(JSON.parse(ran.out)).toMatchObject({ error: { code: "usage", message: expect.stringContaining("edge"), fix: [expect.any(String)] } });
  });

  it("never echoes a token that came the wrong way", async () => {
    const token = "pst_ZZZZZZZZZZZZZZZZZZZZZZ.ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ";
    for (const argv of [["sessions", token], ["sessions", `--token=${token}`], ["sessions", "--token-file", token, "--json"], [token], ["revoke", token, "x"]]) {
      const ran = await runCommand(argv, { env });
      expect(ran.exit, argv[0]).toBeGreaterThan(0);
      expect(ran.out + ran.err).not.toContain("ZZZZZZZZ");
    }
  });
});
