/** What `posture` and `agent run` have in common: this machine as a device of the edge that was named. */
import { hostname } from "node:os";
import { DeviceReports, type Post } from "../agent/device-reports.ts";
import { DeviceStateFile } from "../agent/device-state.ts";
import { StateFolder } from "../agent/state-folder.ts";
import { AgentFailure } from "../agent/agent-failure.ts";
import { deviceIdOf } from "../identity/posture-report.ts";
import { stateFolder } from "./app-connection.ts";
import type { EdgeRoute } from "./edge-route.ts";
import { Failure } from "./failure.ts";
import { exchange } from "./http.ts";
import { edgeRoute, type Invocation, token } from "./invocation.ts";

export interface DeviceOptions {
  readonly checks?: string;
  readonly state?: string;
  readonly name?: string;
}

/** A report is answered when every lane decided again or its lease (30 s) is over; some grace for the way. */
const ANSWER_MS = 90_000;

export interface ThisDevice {
  readonly route: EdgeRoute;
  readonly file: DeviceStateFile;
  readonly reports: DeviceReports;
  /** By the newest sign-in; a device that was enrolled by none yet needs one. Throws Failure or AgentFailure. */
  readonly enrol: () => Promise<{ readonly id: string; readonly isNew: boolean }>;
}

export function thisDevice(options: DeviceOptions, invocation: Invocation): ThisDevice {
  const route = edgeRoute(invocation);
  const file = new DeviceStateFile(new StateFolder(stateFolder(invocation, options.state)), route.origin.origin);
  const reports = new DeviceReports(file, posting(route), invocation.io.now);
  let refused: string | undefined;
  // Standard input is read once; a file may hold a newer sign-in by now.
  let fromInput: Promise<string> | undefined;
  const newestToken = (): Promise<string> => (invocation.tokenFile === "-" ? (fromInput ??= token(invocation)) : token(invocation));
  const enrol = async (): Promise<{ readonly id: string; readonly isNew: boolean }> => {
    const { enrolledBy, key } = await file.read();
    if (enrolledBy !== undefined && invocation.tokenFile === undefined) return { id: deviceIdOf(key.publicJwk), isNew: false };
    const given = await newestToken().catch(asAgentFailure);
    if (given === refused) throw signInOver();
    try {
      return await reports.enrol(given, options.name ?? hostname());
    } catch (error) {
      if (error instanceof AgentFailure && error.code === "sign_in_required") refused = given;
      throw error;
    }
  };
  return { route, file, reports, enrol };
}

const signInOver = (): AgentFailure => new AgentFailure("sign_in_required", "the sign-in no longer holds", "it ended, was revoked, or the token is a service's", ["postern login"]);

function posting(route: EdgeRoute): Post {
  return async (path, { body, type, authorization }) => {
    const headers = { accept: "application/json", "content-type": type, ...(authorization === undefined ? {} : { authorization }) };
    const { status, text } = await exchange(route, { method: "POST", path, headers, body, deadlineMs: ANSWER_MS }).catch(asAgentFailure);
    return { status, json: parsed(text) };
  };
}

/** Wrong usage stays what it is; all else may pass while the agent goes on. */
function asAgentFailure(error: unknown): never {
  if (!(error instanceof Failure) || error.exit === 2) throw error;
  throw new AgentFailure(error.code, error.message, error.why, error.fix, { isPassing: true });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
