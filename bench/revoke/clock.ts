/** One monotonic clock for all processes of a run: milliseconds since the machine started, to the microsecond. */
export const monotonicMs = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000;

export const pause = (ms: number): Promise<void> => new Promise((over) => setTimeout(over, ms));

/** Resolves with true once the condition holds, with false after `timeoutMs`. */
export async function within(timeoutMs: number, condition: () => boolean, lookMs = 5): Promise<boolean> {
  const deadline = monotonicMs() + timeoutMs;
  while (!condition()) {
    if (monotonicMs() > deadline) return false;
    await pause(lookMs);
  }
  return true;
}
