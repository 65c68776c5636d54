/**
 * Denials of a person, on their way to that person's risk: counted for a moment, so that who asks a
 * thousand times does not keep busy the object that must be able to revoke them.
 */
import type { SessionSnapshot } from "../durable-objects/session/rpc.ts";
import type { Exchange } from "./exchange.ts";

/** How long denials are counted before they are told. */
const COUNTED_MS = 2_000;
/** Sessions that are counted at once in an isolate; of more than that nothing is told. */
const MAX_COUNTED = 1_000;

const counts = new WeakMap<object, Map<string, number>>();

/** Another site's page can make a browser ask for anything: that says nothing of the person. */
export function noteDenial(x: Exchange, { sid, subject }: Pick<SessionSnapshot, "sid" | "subject">): void {
  const from = x.request.headers.get("sec-fetch-site");
  if (subject.kind !== "user" || (from !== null && from !== "same-origin" && from !== "none")) return;
  const namespace = x.env.USER;
  let counted = counts.get(namespace);
  if (counted === undefined) counts.set(namespace, (counted = new Map()));
  const before = counted.get(sid);
  if (before === undefined && counted.size >= MAX_COUNTED) return;
  counted.set(sid, (before ?? 0) + 1);
  if (before === undefined) x.later(tell(counted));
  async function tell(all: Map<string, number>): Promise<void> {
    await new Promise<void>((wake) => setTimeout(wake, COUNTED_MS));
    const count = all.get(sid) ?? 0;
    all.delete(sid);
    await namespace.getByName(subject.id).note({ kind: "denied", at: x.now, sid, count }).catch(() => undefined);
  }
}
