/**
 * What each change does to live trust: calls to those who hold it, and their reports. Repeated
 * after a crash, a change ends and tells what is left to end and to tell. Not its receipt (changes.ts).
 */
import type { AppId, ConnectorId, ReceiptId, SessionId } from "../../core/ids.ts";
import { parseSessionId } from "../../core/ids.ts";
import { type ObjectEnv, sessionOf } from "../bindings.ts";
import { addReports, type CutReport, NOTHING_CUT } from "../cut-report.ts";
import type { Database } from "../sqlite.ts";
import type { ReceiptRow } from "./changes.ts";
import type { Lanes } from "./lanes.ts";
import { revokeDevice } from "./devices.ts";
import { endGrants } from "./grants.ts";
import * as registry from "./registry.ts";
import type { PolicySnapshot } from "./rpc.ts";
import * as signals from "./signals.ts";

export interface Reach {
  readonly env: ObjectEnv;
  readonly db: Database;
  readonly lanes: Lanes;
  /** The live policy. */
  readonly policy: () => Promise<PolicySnapshot | undefined>;
}

/** The session of that id, if it can be one's. */
export function sessionIdOf({ SESSION }: ObjectEnv, id: string): SessionId | undefined {
  const sid = parseSessionId(id);
  try {
    if (sid !== undefined) SESSION.idFromString(sid);
    return sid;
  } catch {
    return undefined;
  }
}

export async function carryOut(reach: Reach, row: ReceiptRow): Promise<CutReport> {
  const { env, db, lanes } = reach;
  switch (row.kind) {
    case "policy": {
      const snapshot = await reach.policy();
      return snapshot === undefined ? NOTHING_CUT : lanes.push((stub, lane) => stub.applyPolicy(lane, snapshot));
    }
    case "session":
      return sessionOf(env, row.target).end("revoked", row.id);
    case "user":
      return endPerson(reach, row.target, row, true);
    case "service":
      // By the rows' clock: no sign-in of a row that was revoked is registered any more (M1).
      return env.USER.getByName(`service:${row.target}`).revoke(row.id, false, registry.revokeService(db, row.target, Date.now()));
    case "signal": {
      const signal = signals.byReceipt(db, row.id);
      return signal === undefined ? NOTHING_CUT : heed(reach, signal, row.id);
    }
    case "app":
      return lanes.push((stub) => stub.endApp(row.target as AppId));
    case "connector": {
      registry.revokeConnector(db, row.target, Date.now());
      return lanes.push((stub) => stub.endConnector(row.target as ConnectorId));
    }
    case "device": {
      revokeDevice(db, row.target, Date.now());
      return env.DEVICE.getByName(row.target).revoke();
    }
    case "grant": {
      const { user, news } = endGrants(db, "id", row.target, row.at);
      return user === undefined ? NOTHING_CUT : env.USER.getByName(user).observe(news, row.at);
    }
    default:
      row.kind satisfies never;
      return NOTHING_CUT;
  }
}

/** Their sessions, and what they were given: sessions that come later do not find it. */
async function endPerson({ env, db }: Reach, id: string, { id: receipt, at }: Pick<ReceiptRow, "id" | "at">, passkeys = false): Promise<CutReport> {
  const { user: granted, news } = endGrants(db, "user", id, at);
  const user = env.USER.getByName(id);
  const report = await user.revoke(receipt, passkeys);
  return granted === undefined ? report : addReports([report, await user.observe(news, at)]);
}

async function heed(reach: Reach, { target, effect, at: said }: signals.StoredSignal, receipt: ReceiptId): Promise<CutReport> {
  const { env, db } = reach;
  const when = effect.kind === "facts" ? (effect.at ?? said) : said;
  if (target.kind === "user") return effect.kind === "end" ? endPerson(reach, target.id, { id: receipt, at: said }) : env.USER.getByName(target.id).observe(effect.facts, when);
  // What is only said of a session at a provider does not end it: the person may step up by it.
  const ofLogin = effect.kind === "end" ? signals.endLogin : signals.sessionsOf;
  const sids: readonly SessionId[] = target.kind === "session" ? [target.id] : ofLogin(db, target, Date.now());
  const told = sids.map((sid) => (effect.kind === "end" ? sessionOf(env, sid).end("revoked", receipt) : sessionOf(env, sid).observe(effect.facts, when)));
  return addReports(await Promise.all(told));
}
