/**
 * Watches this machine and reports: at once what changed, and all of it again before it would be
 * 15 minutes old. What it learns of the way to the edge it says once, not every minute.
 */
import { MINUTE_MS } from "../core/time.ts";
import type { PostureFacts } from "../identity/posture-report.ts";
import { reconnectDelay } from "../protocol/backoff.ts";
import { AgentFailure } from "./agent-failure.ts";

/** No fact is older than this at the edge while all goes well: what a policy's `max_age: 15m` asks for. */
export const REPORT_EVERY_MS = 15 * MINUTE_MS;
/** Machines that were started together do not report together. */
const SPREAD_SHARE = 0.25;
export const LOOK_EVERY_MS = MINUTE_MS;
const MIN_PAUSE_MS = 1_000;
/** Time for looking, for the way, and for one failure. */
const AHEAD_MS = MINUTE_MS;

export interface Watching {
  readonly look: () => Promise<PostureFacts>;
  /** Enrols or binds by the newest sign-in, if there is one that was not used for it. Answers the device's id. */
  readonly enrol: () => Promise<{ readonly id: string; readonly isNew: boolean }>;
  readonly report: (facts: PostureFacts) => Promise<{ readonly seq: number }>;
  readonly now: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  /** False when it is over. */
  readonly sleep: (ms: number) => Promise<boolean>;
  readonly say: (event: WatchEvent) => void;
}

export type WatchEvent =
  | { readonly event: "enrolled"; readonly device: string }
  | { readonly event: "reported"; readonly seq: number; readonly changed: readonly string[] }
  | { readonly event: "trouble"; readonly failure: AgentFailure };

/** Failures after which only a person can help: the process ends, so that whoever started it hears of it. */
const FATAL: ReadonlySet<string> = new Set(["device_cloned", "device_barred", "device_unknown", "device_state_damaged", "state_unsafe", "state_unusable", "key_exposed"]);

/** Works until `sleep` says that it is over. Throws AgentFailure when it cannot go on. */
export async function watchDevice({ look, enrol, report, now, random, sleep, say }: Watching): Promise<void> {
  const troubles = new Map<string, string>();
  let said: PostureFacts | undefined;
  let due = 0;
  let failures = 0;
  /** Undefined when it failed; what fails in one way again is not said again. */
  const attempt = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      const done = await work();
      troubles.delete(what);
      return done;
    } catch (error) {
      const failure = error instanceof AgentFailure ? error : new AgentFailure("internal", "an attempt to report failed", "internal error", ["postern status shows what answers"]);
      if (FATAL.has(failure.code)) throw failure;
      if (troubles.get(what) !== failure.code) say({ event: "trouble", failure });
      troubles.set(what, failure.code);
      return undefined;
    }
  };
  for (;;) {
    const facts = await look();
    const changed = differences(said, facts);
    // A sign-in that is over is no reason to be silent: a report needs none.
    const enrolled = await attempt("enrol", enrol);
    if (enrolled?.isNew === true) say({ event: "enrolled", device: enrolled.id });
    if (enrolled?.isNew === true || said === undefined || changed.length > 0 || now() >= due) {
      const reported = await attempt("report", () => report(facts));
      if (reported !== undefined) {
        say({ event: "reported", seq: reported.seq, changed });
        said = facts;
        due = now() + (REPORT_EVERY_MS - AHEAD_MS - LOOK_EVERY_MS) * (1 - SPREAD_SHARE * random());
      }
      failures = reported === undefined ? failures + 1 : 0;
    }
    if (!(await sleep(failures === 0 ? LOOK_EVERY_MS : Math.max(MIN_PAUSE_MS, reconnectDelay(failures, random()))))) return;
  }
}

/** Names of what is new, gone or other. */
function differences(before: PostureFacts | undefined, after: PostureFacts): readonly string[] {
  if (before === undefined) return [];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((name) => before[name] !== after[name]).sort();
}
