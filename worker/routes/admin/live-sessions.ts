/** Every live session, asked one by one, and how many are missing from the answer. */
import { CONTROL_NAME, sessionOf } from "../../../durable-objects/bindings.ts";
import type { SessionDescription } from "../../../durable-objects/session/rpc.ts";
import { formatTruncation, TRUNCATED_HEADER, type Truncation } from "../../../protocol/truncated.ts";
import type { Exchange } from "../../exchange.ts";

/** Bounds the calls of one listing, and of the sessions that a change is tried on. */
const MAX_SESSIONS_COUNT = 1_000;
const MAX_OWNERS_COUNT = 1_000;

export interface LiveSessions {
  readonly sessions: readonly SessionDescription[];
  /** What is missing; a session that does not answer may be live. */
  readonly cut: Truncation;
}

export async function liveSessions(x: Exchange): Promise<LiveSessions> {
  const control = x.env.CONTROL.getByName(CONTROL_NAME);
  const [people, services] = await Promise.all([control.people(), control.services()]);
  const owners = [...new Set([...people.map((one) => one.id), ...services.map((one) => `service:${one.name}`)])];
  const lists = await Promise.all(owners.slice(0, MAX_OWNERS_COUNT).map((owner) => x.env.USER.getByName(owner).sessions()));
  const ids = lists.flat();
  const asked = ids.slice(0, MAX_SESSIONS_COUNT);
  const answers = await Promise.all(asked.map((sid) => sessionOf(x.env, sid).describe().catch(() => "unreachable" as const)));
  const sessions = answers.filter((one) => one !== undefined && one !== "unreachable").filter((one) => one.ended === undefined);
  const cut = {
    owners: Math.max(0, owners.length - MAX_OWNERS_COUNT),
    sessions: ids.length - asked.length,
    unreachable: answers.filter((one) => one === "unreachable").length,
  };
  return { sessions, cut };
}

/** The header that owns up to what is missing; none when nothing is. */
export function truncatedHeader({ cut }: LiveSessions): Readonly<Record<string, string>> {
  const value = formatTruncation(cut);
  return value === undefined ? {} : { [TRUNCATED_HEADER]: value };
}
