/**
 * Prints wrangler.toml (first argument) as wrangler itself reads it, as JSON on standard output.
 * A process of its own because wrangler's library takes a second and 100 MB to load.
 * Not for deploying.
 */
import { unstable_readConfig } from "wrangler";

const [configPath] = process.argv.slice(2);
if (configPath === undefined) throw new Error("usage: read-wrangler-config.ts FILE");
const config = unstable_readConfig({ config: configPath });
process.stdout.write(`${JSON.stringify(config)}\n`);
