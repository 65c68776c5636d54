/** The program `postern`: this process's arguments in, its exit code out. */
import { processIo } from "./io.ts";
import { run } from "./run.ts";

// A reader that left early (`postern sessions | head`) is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

process.exitCode = await run(process.argv.slice(2), processIo());
