/**
 * The test projects: where each folder of test/ runs and what may run at the same time.
 * A folder that no project names runs in `node`, so that no test is silently left out.
 */
import { availableParallelism } from "node:os";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const PURE = ["core", "policy", "identity", "protocol", "durable-objects", "worker-pure"];
/** Inside workerd, against wrangler.toml. */
const IN_WORKERD = ["objects", "worker"];
const ARCHITECTURE = ["architecture"];
/** Processes, sockets and a browser. */
const END_TO_END = ["e2e", "bench"];

const filesOf = (folders: readonly string[]): string[] => folders.map((folder) => `test/${folder}/**/*.test.ts`);

/** End-to-end files that measure nothing that a busy machine changes; whatever else is end to end runs alone. */
const NOT_MEASURING = [
  // Not the README, which has a drill among its blocks.
  "test/e2e/!(readme).test.ts",
  ...filesOf(["bench", "e2e/apps", "e2e/corpus", "e2e/nist", "e2e/policy", "e2e/wrangler-dev"]),
  "test/e2e/credentials/{matrix,routes}.test.ts",
  "test/e2e/browser/{hostile-sibling,passkeys,providers,return-to,ssh-step-up}.test.ts",
  "test/e2e/conformance/{failures,http,websocket}.test.ts",
  // Not those in which facts run out within seconds while a stage is being set.
  "test/e2e/devices/{command-line,devices}.test.ts",
  "test/e2e/signals/{directory,events,matrix,matrix-targets}.test.ts",
  "test/e2e/revocation/{crash,cut-requests,held-upload,outlasting,running-out,sign-in-races,while-opening}.test.ts",
  "test/e2e/tcp/{agent-link,hostile-agents,postern-tcp,sleep,stalled-network}.test.ts",
  "test/e2e/tunnel/{batching,batching-optimised,chaos,replicas,targets}.test.ts",
];

/** First what may share the machine, three files on two cores, for many mostly wait (a number: of a percentage vitest takes no more than the cores); then one file at a time. */
const TOGETHER = { maxWorkers: Math.ceil(availableParallelism() * 1.5), sequence: { groupOrder: 0 } };
const ALONE = { maxWorkers: 1, sequence: { groupOrder: 1 } };

const CLEAN_START = "test/objects/clean-start.ts";
const PROPERTY_SEED = "test/property-seed.ts";
const READY_EDGE = "test/ready-edge.ts";
const READY_BROWSER = "test/ready-browser.ts";

/** Property tests, on a machine that does something else too. */
const PURE_TIMEOUT_MS = 30_000;
const NODE_TIMEOUT_MS = 20_000;
/** The first request of a file loads the whole Worker module by module. */
const IN_WORKERD_TIMEOUT_MS = 30_000;
const END_TO_END_TIMEOUT_MS = 60_000;
/** Of expect.poll, which waits for a second unless it is told: what comes comes later on a busy machine. */
const POLL = { expect: { poll: { timeout: 10_000 } } };

const within = (ms: number): { readonly testTimeout: number; readonly hookTimeout: number } => ({ testTimeout: ms, hookTimeout: ms });
const END_TO_END_SETTINGS = { globalSetup: [READY_EDGE, READY_BROWSER], ...within(END_TO_END_TIMEOUT_MS), ...POLL };

export default defineConfig({
  test: {
    projects: [
      // These keep nothing between files, so that a worker goes on to the next one as it is.
      { test: { name: "pure", include: filesOf(PURE), setupFiles: PROPERTY_SEED, isolate: false, ...within(PURE_TIMEOUT_MS), ...POLL, ...TOGETHER } },
      { test: { name: "architecture", include: filesOf(ARCHITECTURE), isolate: false, ...TOGETHER } },
      {
        test: {
          name: "node",
          include: ["test/**/*.test.ts"],
          exclude: filesOf([...PURE, ...IN_WORKERD, ...END_TO_END, ...ARCHITECTURE]),
          setupFiles: PROPERTY_SEED,
          globalSetup: READY_BROWSER,
          ...within(NODE_TIMEOUT_MS),
          ...POLL,
          ...TOGETHER,
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: { bindings: { POSTERN_EDGE_KIND: "local", POSTERN_SETUP_KEY: "a setup key for tests, longer than 32 bytes" } },
          }),
        ],
        // Loading the edge module by module takes seconds: a worker does it once.
        test: { name: "workerd", include: filesOf(IN_WORKERD), setupFiles: CLEAN_START, isolate: false, ...within(IN_WORKERD_TIMEOUT_MS), ...POLL, ...TOGETHER },
      },
      { test: { name: "e2e", include: NOT_MEASURING, ...END_TO_END_SETTINGS, ...TOGETHER } },
      { test: { name: "e2e-alone", include: filesOf(END_TO_END), exclude: NOT_MEASURING, ...END_TO_END_SETTINGS, ...ALONE } },
    ],
  },
});
