/**
 * The clients of `npm run bench:revoke`, as a process: they read all that comes, write stamped
 * chunks where the protocol has a way back, and note how and when each connection ended.
 */
import { answerCalls } from "./calls.ts";
import { type Opened, openers, type Plan } from "./openers.ts";
import { allEnded, outcomeOf, type Side } from "./sides.ts";

/** Handshakes under way at once. */
const AT_ONCE_COUNT = 32;
/** Logins under way at once: each is three processes. */
const LOGINS_AT_ONCE_COUNT = 4;

const groups = new Map<string, Opened[]>();
const openedOf = (names: readonly string[]): Opened[] => names.flatMap((name) => groups.get(name) ?? []);
const sidesOf = (names: readonly string[]): Side[] => openedOf(names).map((one) => one.side);

async function open(plan: Plan): Promise<void> {
  const opened = groups.get(plan.group) ?? [];
  groups.set(plan.group, opened);
  const names = Array.from({ length: plan.count }, (_, number) => `${plan.group}.${opened.length + number}`).values();
  const work = async (): Promise<void> => {
    for (const name of names) opened.push(await openers[plan.way](plan, name));
  };
  await Promise.all(Array.from({ length: plan.way === "ssh" ? LOGINS_AT_ONCE_COUNT : AT_ONCE_COUNT }, work));
}

answerCalls({
  open,
  mark: () => {
    for (const opened of groups.values()) for (const { side } of opened) side.heard.mark();
  },
  ended: ({ names, timeoutMs }: { readonly names: readonly string[]; readonly timeoutMs: number }) => allEnded(sidesOf(names), timeoutMs),
  outcome: ({ names, moment }: { readonly names: readonly string[]; readonly moment: number }) => outcomeOf(sidesOf(names), moment),
  /** Hangs up whatever is left of these, and forgets them. */
  abandon: async (names: readonly string[]) => {
    for (const { abandon } of openedOf(names)) abandon();
    await allEnded(sidesOf(names), 2_000);
    for (const name of names) groups.delete(name);
  },
});
