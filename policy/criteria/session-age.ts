/** Criterion `session_age`: how long ago the person signed in at the provider (its auth_time). */
import { keys } from "../containers.ts";
import { defineCriterion, factOf, unknownForService } from "../criterion.ts";
import { duration, toMs } from "../shapes.ts";

export const sessionAge = defineCriterion({
  name: "session_age",
  kind: "context",
  shape: keys({ max: duration }),
  read: (raw) => ({ max: toMs(raw.max) }),
  reads: () => ["auth"],
  compile: ({ max }) => (input) => {
    if (unknownForService(input)) return "unknown";
    const fact = factOf(input, "auth");
    if (fact?.value !== true) return "unknown";
    const end = fact.observedAt + max + 1;
    if (!(input.now < end)) return false;
    input.changesAt = Math.min(input.changesAt, end);
    return true;
  },
});
