/** The command line of npm start. */
import { describe, expect, it } from "vitest";
import { parseStartOptions } from "../../start/options.ts";
import { StartError } from "../../start/start-error.ts";

const DEFAULTS = { port: 8787, state: ".postern", json: false, testFacts: false, help: false };

describe("parseStartOptions", () => {
  it.each([
    { args: [], expected: DEFAULTS },
    { args: ["--port", "0", "--json"], expected: { ...DEFAULTS, port: 0, json: true } },
    { args: ["--config", "a.yaml", "--env-file", "b.env"], expected: { ...DEFAULTS, config: "a.yaml", envFile: "b.env" } },
    { args: ["--state=elsewhere", "--test-facts"], expected: { ...DEFAULTS, state: "elsewhere", testFacts: true } },
    { args: ["-h"], expected: { ...DEFAULTS, help: true } },
  ])("reads $args", ({ args, expected }) => {
    expect(parseStartOptions(args)).toEqual(expected);
  });

  it.each([[["--port", "65536"]], [["--port", "x"]], [["--port", "-1"]], [["--nope"]], [["stray"]], [["--config"]]])("refuses %j as wrong usage", (args) => {
    let thrown: unknown;
    try {
      parseStartOptions(args);
    } catch (cause) {
      thrown = cause;
    }
    expect(thrown).toBeInstanceOf(StartError);
    expect(thrown).toMatchObject({ exitCode: 2 });
  });
});
