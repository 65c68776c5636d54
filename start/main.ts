/**
 * `npm start`: runs the whole product on this machine until Ctrl-C. Only the terminal side is
 * here: arguments, signals, what is printed; the work is stack.ts.
 */
import { readFile } from "node:fs/promises";
import { parseEnv } from "node:util";
import { parseStartOptions, type StartOptions, USAGE } from "./options.ts";
import { humanReport, jsonReport } from "./report.ts";
import { type Stack, startStack } from "./stack.ts";
import { StartError } from "./start-error.ts";

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function environment(options: StartOptions): Promise<Record<string, string | undefined>> {
  if (options.envFile === undefined) return { ...process.env };
  const text = await readFile(options.envFile, "utf8").catch(() => undefined);
  if (text === undefined) throw new StartError(`${options.envFile} cannot be read`, "give the path of a file with NAME=value lines: --env-file FILE", 2);
  return { ...process.env, ...parseEnv(text) };
}

/** Resolves with the first signal that asks for the end. */
function endAsked(): Promise<void> {
  return new Promise((ask) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => ask());
  });
}

/** Tells when a part dies while the others go on; the edge's death ends everything. */
function watch(stack: Stack, isEnding: () => boolean): Promise<void> {
  for (const { site, child } of stack.connectors) {
    void child.exited.then(() => {
      if (!isEnding()) say(`the connector of site ${site} ended (process ${child.pid}); to run it again: ${child.argv.join(" ")}`);
    });
  }
  return stack.edge().exited.then(() => undefined);
}

async function main(): Promise<number> {
  const options = parseStartOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const end = endAsked();
  let isEnding = false;
  const giveUp = new AbortController();
  void end.then(() => {
    isEnding = true;
    giveUp.abort();
  });
  const starting = startStack({
    stateDirectory: options.state,
    port: options.port,
    environment: await environment(options),
    testFacts: options.testFacts,
    signal: giveUp.signal,
    onProgress: say,
    ...(options.config === undefined ? {} : { documentFile: options.config }),
  });
  const stack = await starting.catch((cause: unknown) => {
    if (isEnding) return undefined;
    throw cause;
  });
  if (stack === undefined) return 0;
  const edgeEnded = watch(stack, () => isEnding);
  process.stdout.write(`${options.json ? jsonReport(stack) : humanReport(stack)}\n`);
  for (const notice of stack.notices) say(notice);
  await Promise.race([end, edgeEnded]);
  if (!isEnding) say(`the edge ended by itself; its last words are in ${stack.edge().logFile}`);
  await stack.stop();
  return isEnding ? 0 : 1;
}

main().then(
  (code) => process.exit(code),
  (cause: unknown) => {
    if (cause instanceof StartError) {
      say(`error: ${cause.message}\nnext: ${cause.fix}`);
      process.exit(cause.exitCode);
    }
    say(cause instanceof Error ? (cause.stack ?? cause.message) : "unknown error");
    process.exit(1);
  },
);
