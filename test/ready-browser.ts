/** Before files run at the same time: the browser is unpacked once, since two that unpack it would start half of it. */
import { chromiumPath } from "../scripts/chromium.ts";

export async function setup(): Promise<void> {
  await chromiumPath();
}
