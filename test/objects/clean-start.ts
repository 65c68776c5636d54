/** Files of tests inside workerd share one process and its objects: each starts with none, whatever the one before it left. */
import { beforeAll, vi } from "vitest";
import { wipe } from "./deployment.ts";

beforeAll(async () => {
  vi.useRealTimers();
  await wipe();
});
