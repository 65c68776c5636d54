/** Before files run at the same time: the browser is unpacked once, since two that unpack it would start half of it. */
import { chromiumPath } from "../scripts/chromium.ts";

export async function setup(): Promise<void> {
  // Where there is none, the tests that need one say so.
  await chromiumPath().catch(() => undefined);
}
