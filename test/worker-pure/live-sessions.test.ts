import { describe, expect, it } from "vitest";
import type { Exchange } from "../../worker/exchange.ts";
import { liveSessions, truncatedHeader } from "../../worker/routes/admin/live-sessions.ts";

type Described = "live" | "ended" | "unknown" | "unreachable";

/** The edge over one object for each session, which answers as it is told to. */
function edgeWith(owners: { readonly [id: string]: readonly Described[] }): Exchange {
  const describe = (kind: Described): Promise<unknown> => {
    switch (kind) {
      case "live":
        return Promise.resolve({ id: "s" });
      case "ended":
        return Promise.resolve({ id: "s", ended: "revoked" });
      case "unknown":
        return Promise.resolve(undefined);
      case "unreachable":
        return Promise.reject(new Error("down"));
      default:
        return kind satisfies never;
    }
  };
  const env = {
    CONTROL: { getByName: () => ({ people: () => Promise.resolve(Object.keys(owners).map((id) => ({ id }))), services: () => Promise.resolve([]) }) },
    USER: { getByName: (id: string) => ({ sessions: () => Promise.resolve(owners[id] ?? []) }) },
    SESSION: { idFromString: (kind: string) => kind, get: (kind: Described) => ({ describe: () => describe(kind) }) },
  };
  return { env } as unknown as Exchange;
}
const crowd = (count: number): { [id: string]: readonly Described[] } => Object.fromEntries(Array.from({ length: count }, (_, n) => [`u${n}`, ["live"] as const]));

describe("a list of live sessions owns up to what is missing", () => {
  it.each<[string, { readonly [id: string]: readonly Described[] }, number, string | undefined]>([
    ["nothing, when nobody is signed in", {}, 0, undefined],
    ["nothing, when each answers: what ended is not live", { ann: ["live", "ended"], bob: ["unknown", "live"] }, 2, undefined],
    ["sessions that do not answer", { ann: ["live", "unreachable"] }, 1, "unreachable=1"],
    ["sessions beyond the bound", { ann: Array.from({ length: 1_003 }, () => "live" as const) }, 1_000, "sessions=3"],
    ["people beyond the bound", crowd(1_002), 1_000, "owners=2"],
  ])("%s", async (_title, owners, shown, header) => {
    const live = await liveSessions(edgeWith(owners));
    expect(live.sessions).toHaveLength(shown);
    expect(truncatedHeader(live)).toEqual(header === undefined ? {} : { "postern-truncated": header });
  });
});
