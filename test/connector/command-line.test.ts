import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { TOPICS, parseCommandLine } from "../../connector/command-line.ts";
import { Failure } from "../../connector/failure.ts";
import { helpText } from "../../connector/help.ts";

const exitOf = (argv: string[]): number => {
  try {
    parseCommandLine(argv, {});
  } catch (error) {
    if (error instanceof Failure) return error.exit;
    throw error;
  }
  return 0;
};

describe("the command line", () => {
  it.each([
    ["nothing to dial is said", ["enroll", "https://x.example", "--token-file", "t"]],
    ["--allow with --allow-site-config", ["enroll", "https://x.example", "--token-file", "t", "--allow", "a:1", "--allow-site-config"]],
    ["an odd spelling of an address", ["enroll", "https://x.example", "--token-file", "t", "--allow", "0x7f.1:80"]],
    ["no token file", ["enroll", "https://x.example", "--allow", "a:1"]],
    ["no URL", ["enroll", "--token-file", "t", "--allow", "a:1"]],
    ["a token in argv", ["enroll", "https://x.example", "--token", "t", "--allow", "a:1"]],
    ["an unknown command", ["launch"]],
    ["an unknown option", ["run", "--fast"]],
    ["an option of another command", ["run", "--token-file", "t"]],
    ["an argument too many", ["run", "now"]],
    ["an impossible port", ["run", "--metrics-port", "70000"]],
    ["a target without a file", ["run", "--target", "wiki="]],
    ["a target without an app", ["run", "--target", "wiki.json"]],
    ["a target that is no app's id", ["run", "--target", "Wiki=f"]],
    ["two files for one app", ["run", "--target", "wiki=a", "--target", "wiki=b"]],
    ["a canary beyond loopback", ["run", "--canary", "10.0.0.5:7070"]],
    ["a canary on every address", ["run", "--canary", "0.0.0.0:7070"]],
    ["a canary by a name", ["run", "--canary", "localhost:7070"]],
    ["a canary without a port", ["run", "--canary", "127.0.0.1"]],
    ["a canary on any port", ["run", "--canary", "127.0.0.1:0"]],
    ["a canary of another command", ["status", "--canary", "127.0.0.1:7070"]],
    ["a target of another command", ["status", "--target", "wiki=a"]],
  ])("%s is wrong usage", (_title, argv) => {
    expect(exitOf(argv)).toBe(2);
  });

  it("takes URL and token file from the environment, the allow-list never", () => {
    const command = parseCommandLine(["enroll", "--allow", "10.0.0.5:80"], { POSTERN_EDGE: "https://x.example", POSTERN_TOKEN_FILE: "/t" });
    expect(command).toMatchObject({ kind: "enroll", url: "https://x.example", tokenFile: "/t", allow: { kind: "list", endpoints: [{ host: "10.0.0.5", port: 80 }] } });
  });

  it("knows each target's file from wherever it was started, also with = in its name", () => {
    const command = parseCommandLine(["run", "--target", "wiki=/a/b=c.json", "--target", "crm=bom.json"], {});
    expect(command).toMatchObject({ kind: "run", targets: new Map([["wiki", "/a/b=c.json"], ["crm", resolve("bom.json")]]) });
  });

  it("takes a canary on loopback, off by default, also for the installed unit", () => {
    expect(parseCommandLine(["run"], {})).toMatchObject({ kind: "run", canary: undefined });
    expect(parseCommandLine(["run", "--canary", "127.0.0.1:7070"], {})).toMatchObject({ kind: "run", canary: { host: "127.0.0.1", port: 7070 } });
    expect(parseCommandLine(["install", "--print", "--canary", "[::1]:7070"], {})).toMatchObject({ kind: "install", canary: { host: "::1", port: 7070 } });
  });

  it("shows help for every command, and every option of it", () => {
    expect(parseCommandLine([], {})).toEqual({ kind: "help", topic: "all" });
    for (const topic of TOPICS) {
      expect(parseCommandLine([topic, "--help"], {})).toEqual({ kind: "help", topic });
      expect(helpText("all")).toContain(topic);
      expect(helpText(topic)).toContain("--state DIR");
    }
  });
});
