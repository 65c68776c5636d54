#!/usr/bin/env node
/** Launcher of the connector; the program is connector/main.ts. */
import { relaunch } from "./relaunch.mjs";

await relaunch(import.meta.url, "../connector/main.ts");
