/** The protocols that are measured, and how a crowd of connections of one is opened for sessions. */
import type { Plan } from "./openers.ts";
import type { SignedIn } from "./sessions.ts";
import type { App, Stage } from "./stage.ts";

export type Protocol = "http" | "sse" | "websocket" | "tcp" | "ssh";
export const PROTOCOLS: readonly Protocol[] = ["http", "sse", "websocket", "tcp", "ssh"];
export const appOf = (protocol: Protocol): App => (protocol === "tcp" ? "pipe" : protocol === "ssh" ? "shell" : "web");
export const isCarried = (protocol: Protocol): boolean => protocol === "tcp" || protocol === "ssh";

/** A login costs a tenth of a second of CPU: in a crowd so many are real ones, the others TCP connections to the same app at a shell's pace. */
export const MAX_LOGINS_COUNT = 2;

export const loginsAmong = (stage: Stage, count: number): number => (stage.login === undefined ? 0 : Math.min(count, MAX_LOGINS_COUNT));

/** Opens so many connections for a session under this group's name; `slot`: which agent carries them. */
export async function openFor(stage: Stage, protocol: Protocol, session: SignedIn, count: number, group: string, slot: number, patience: Pick<Plan, "patienceMs"> = {}): Promise<void> {
  const plan = async (more: Omit<Plan, "group">): Promise<void> => {
    if (more.count > 0) await stage.clients("open", { group, ...patience, ...more } satisfies Plan);
  };
  if (!isCarried(protocol)) return plan({ way: protocol, count, port: stage.stack.port, headers: session.headers });
  const { port } = await stage.agent(appOf(protocol), slot, session);
  const logins = protocol === "ssh" ? loginsAmong(stage, count) : 0;
  await plan({ way: "ssh", count: logins, port, ...(stage.login === undefined ? {} : { login: stage.login }) });
  await plan({ way: "tcp", count: count - logins, port });
}
