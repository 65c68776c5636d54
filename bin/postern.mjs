#!/usr/bin/env node
/** Launcher of the command line; the program is cli/main.ts. */
import { relaunch } from "./relaunch.mjs";

await relaunch(import.meta.url, "../cli/main.ts");
