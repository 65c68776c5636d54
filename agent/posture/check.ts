/** One check: what it finds on a machine, by name. A fact that it could not find is not among them. */
import type { PostureFacts } from "../../identity/posture-report.ts";
import type { ChecksWanted } from "./checks-wanted.ts";
import type { System } from "./system.ts";

export interface CheckContext {
  readonly system: System;
  readonly wanted: ChecksWanted;
  /** ms since the epoch. */
  readonly now: number;
}

export type Check = (context: CheckContext) => Promise<PostureFacts>;

/** A fact, or none when nobody could say. */
export const found = (name: string, value: PostureFacts[string] | undefined): PostureFacts => (value === undefined ? {} : { [name]: value });

/** The text of a program that ended well. */
export async function outputOf(system: System, program: string, ...args: readonly string[]): Promise<string | undefined> {
  const ran = await system.run(program, ...args);
  return ran?.code === 0 ? ran.out : undefined;
}
