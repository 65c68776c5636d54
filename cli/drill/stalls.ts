/** How long this process itself did not run: what no connection can be blamed for on a busy machine. */
const LOOK_MS = 5;

/** From now on; the answer ends it and says the longest time. */
export function watchStalls(clock: () => number): () => number {
  let worst = 0;
  let last = clock();
  const look = (): void => {
    const now = clock();
    worst = Math.max(worst, now - last - LOOK_MS);
    last = now;
  };
  const timer = setInterval(look, LOOK_MS);
  return () => {
    look();
    clearInterval(timer);
    return worst;
  };
}
