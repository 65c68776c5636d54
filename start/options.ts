/** The command line of `npm start`: flags, their defaults and their errors. Reads no file. */
import { parseArgs } from "node:util";
import { StartError } from "./start-error.ts";

export interface StartOptions {
  readonly config?: string;
  readonly envFile?: string;
  readonly port: number;
  readonly state: string;
  readonly json: boolean;
  readonly testFacts: boolean;
  readonly help: boolean;
}

export const DEFAULT_PORT = 8787;
export const DEFAULT_STATE = ".postern";

export const USAGE = `npm start [-- options]   run all of Postern on this machine

  --config FILE    serve this policy document instead of the demo
  --env-file FILE  take the secrets that the document names from this file
  --port N         port of the edge on 127.0.0.1 (default ${DEFAULT_PORT}; 0 picks a free one)
  --state DIR      what survives a restart (default ${DEFAULT_STATE}/)
  --json           print one line of JSON once all of it answers
  --test-facts     let tests set country, address and the like through a header of random name
  --help           this text
`;

const wrong = (message: string): StartError => new StartError(message, "npm start -- --help", 2);

/** Parses the arguments after the program's name; throws StartError with exit code 2. */
export function parseStartOptions(args: readonly string[]): StartOptions {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        config: { type: "string" },
        "env-file": { type: "string" },
        port: { type: "string" },
        state: { type: "string" },
        json: { type: "boolean" },
        "test-facts": { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }));
  } catch (cause) {
    throw wrong(cause instanceof Error ? (cause.message.split(". ")[0] ?? "") : "unknown option");
  }
  const port = values.port ?? String(DEFAULT_PORT);
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) > 65_535) throw wrong(`--port ${port} is no port: 0 to 65535`);
  return {
    ...(values.config === undefined ? {} : { config: values.config }),
    ...(values["env-file"] === undefined ? {} : { envFile: values["env-file"] }),
    port: Number(port),
    state: values.state ?? DEFAULT_STATE,
    json: values.json === true,
    testFacts: values["test-facts"] === true,
    help: values.help === true,
  };
}
