/** Waits, in a test of the objects, for what comes of something that was done before. */
import { expect, vi } from "vitest";

/** Far above what anything takes on a busy machine: who waits so long waits for what does not come. */
const TIMEOUT_MS = 15_000;

export const eventually = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  await vi.waitFor(async () => expect(await holds()).toBe(true), { timeout: TIMEOUT_MS, interval: 5 });
};
