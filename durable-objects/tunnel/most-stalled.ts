/** Who gives way when a connector's socket has no room for a new stream (FC8): the one with most that waits, either way. */
import { WINDOW_BYTES } from "../../protocol/limits.ts";
import type { Mux } from "../../protocol/mux.ts";

/** Who has this much waiting does not keep up: a client with its answer, or an app with a request's body. */
const STALLED_BYTES = WINDOW_BYTES / 2;

export function mostStalled(mux: Mux): number | undefined {
  let most = STALLED_BYTES - 1;
  let found: number | undefined;
  for (const id of mux.streams()) {
    const { held = 0, credit = WINDOW_BYTES } = mux.snapshot(id) ?? {};
    const waits = Math.max(held, WINDOW_BYTES - credit);
    if (waits > most) [most, found] = [waits, id];
  }
  return found;
}
