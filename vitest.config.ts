/**
 * The test projects: where each folder of test/ runs and what may run at the same time.
 * A folder that no project names runs in `node`, so that no test is silently left out.
 */
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const PURE = ["core", "policy", "identity", "protocol", "durable-objects"];
/** Inside workerd, against wrangler.toml. */
const IN_WORKERD = ["objects", "worker"];
/** Processes, sockets and a browser: one file at a time. */
const END_TO_END = ["e2e", "bench"];
const ARCHITECTURE = ["architecture"];
const PROPERTY_SEED = "test/property-seed.ts";

const filesOf = (folders: readonly string[]): string[] => folders.map((folder) => `test/${folder}/**/*.test.ts`);

/** Projects of a lower order run first; inside an order they share the machine. */
const ORDER = { quick: 0, workerd: 1, endToEnd: 2 };
/** Property tests, on a machine that does something else too. */
const PURE_TIMEOUT_MS = 30_000;
/** The first request of a file loads the whole Worker module by module. */
const IN_WORKERD_TIMEOUT_MS = 30_000;
const END_TO_END_TIMEOUT_MS = 60_000;

export default defineConfig({
  test: {
    projects: [
      { test: { name: "pure", include: filesOf(PURE), setupFiles: PROPERTY_SEED, testTimeout: PURE_TIMEOUT_MS, hookTimeout: PURE_TIMEOUT_MS, sequence: { groupOrder: ORDER.quick } } },
      { test: { name: "architecture", include: filesOf(ARCHITECTURE), sequence: { groupOrder: ORDER.quick } } },
      {
        test: {
          name: "node",
          include: ["test/**/*.test.ts"],
          exclude: filesOf([...PURE, ...IN_WORKERD, ...END_TO_END, ...ARCHITECTURE]),
          setupFiles: PROPERTY_SEED,
          testTimeout: 20_000,
          hookTimeout: 20_000,
          sequence: { groupOrder: ORDER.quick },
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: { bindings: { POSTERN_EDGE_KIND: "local", POSTERN_SETUP_KEY: "a setup key for tests, longer than 32 bytes" } },
          }),
        ],
        test: { name: "workerd", include: filesOf(IN_WORKERD), maxWorkers: 1, testTimeout: IN_WORKERD_TIMEOUT_MS, hookTimeout: IN_WORKERD_TIMEOUT_MS, sequence: { groupOrder: ORDER.workerd } },
      },
      {
        test: {
          name: "e2e",
          include: filesOf(END_TO_END),
          maxWorkers: 1,
          testTimeout: END_TO_END_TIMEOUT_MS,
          hookTimeout: END_TO_END_TIMEOUT_MS,
          sequence: { groupOrder: ORDER.endToEnd },
        },
      },
    ],
  },
});
