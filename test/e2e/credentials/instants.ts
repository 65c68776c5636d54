/** Waiting for an instant of the clock that expiries are measured by. Not a way to wait for a state. */

/** Resolves at `instant` (milliseconds since 1970) or a few milliseconds later, never before. */
export async function sleepUntil(instant: number): Promise<void> {
  for (let left = instant - Date.now(); left > 0; left = instant - Date.now()) {
    await new Promise((wake) => setTimeout(wake, left));
  }
}
