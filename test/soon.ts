/** Waits for what comes of something that was done before, in a test under Node. */
import { vi } from "vitest";

/** Far above what anything takes on a busy machine: who waits so long waits for what does not come. vi.waitFor's own is a second. */
const TIMEOUT_MS = 10_000;

/** Resolves once `holds` throws nothing. */
export const soon = (holds: () => unknown): Promise<unknown> => vi.waitFor(holds, { timeout: TIMEOUT_MS, interval: 5 });
