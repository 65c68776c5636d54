/** How long the guard (guard.ts) leaves left-over processes between asking them to end and killing them. Nothing else. */
export const KILL_AFTER_MS = 1_000;
