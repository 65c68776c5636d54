/** What somebody can do at a resource now, in the words of the scenarios; what the record must say of it is collected, since it is written a moment later. */
import { expect } from "vitest";
import { ask } from "../credentials/plain-request.ts";
import { call, type Person } from "./person.ts";
import type { Place } from "./places.ts";
import type { World } from "./world.ts";

export type Access = "Access Successful" | "Access Limited" | "Access Not Successful";

interface Seen {
  readonly title: string;
  readonly requestId: string;
  readonly app: string;
  readonly allowed: boolean;
}
const seen: Seen[] = [];

/** Reads and changes something; what cannot be read is tried to be changed at the person's own place alone, since ten denials are a sign of risk. */
export async function access(person: Person, app: string, { from = person.place, path = "/low/x" }: { readonly from?: Place; readonly path?: string } = {}): Promise<Access> {
  const read = await call(person, app, { from, path });
  const change = read.status === 200 || from === person.place ? await call(person, app, { from, path, method: "POST" }) : undefined;
  for (const answer of change === undefined ? [read] : [read, change]) {
    const requestId = String(answer.headers["postern-request-id"]);
    seen.push({ title: `${expect.getState().currentTestName ?? ""}: ${app} from ${from}`, requestId, app, allowed: answer.status === 200 });
  }
  if (read.status === 200 && change?.status === 200) return "Access Successful";
  if (read.status === 200 && change?.code === "read_only") return "Access Limited";
  expect([401, 403, 404], `${app}: ${read.code}`).toContain(read.status);
  expect(change?.status, `${app}: not read, but changed`).not.toBe(200);
  return "Access Not Successful";
}

/** That the record has every decision that was seen, as it was; resolves with how many. */
export async function expectRecorded(world: World): Promise<number> {
  const faults: string[] = [];
  for (const { title, requestId, app, allowed } of seen) {
    const told = await world.recorded(requestId);
    if ((told.recorded_effect === "allow") !== allowed || told.ask.app !== app) faults.push(`${title}: allowed ${allowed}, the record says ${told.recorded_effect} at ${told.ask.app}`);
  }
  expect(faults).toEqual([]);
  return seen.splice(0).length;
}

/** What somebody without a session gets of an app. */
export async function anonymousStatus(world: World, app: string, from: Place): Promise<number> {
  return (await ask({ url: world.at(app, "/low/x"), headers: [["Accept", "application/json"], ...Object.entries(world.from(from))] })).status;
}
