/** Before files run at the same time: the edge is built once, and every stack of the run starts that build. */
import { join } from "node:path";
import { EDGE_CACHE, edgeBundle } from "../start/edge-bundle.ts";

export async function setup(): Promise<void> {
  await edgeBundle(join(import.meta.dirname, "../wrangler.toml"), EDGE_CACHE);
}
