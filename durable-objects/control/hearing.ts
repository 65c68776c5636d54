/**
 * What other systems state (logout tokens, security events): whom among our people, sessions and
 * devices it names, and one signal for each, which counts once by the token's id. Verified before
 * it comes here.
 */
import { parseDeviceId } from "../../core/ids.ts";
import { userIdOf } from "../../identity/claims.ts";
import type { Named, Statement } from "../../identity/security-event.ts";
import type { ObjectEnv } from "../bindings.ts";
import type { Database } from "../sqlite.ts";
import { isDevice } from "./devices.ts";
import { personsOf } from "./registry.ts";
import type { ControlRpc, SignalTarget } from "./rpc.ts";
import { knowsLogin } from "./signals.ts";

/** A verified token. */
export interface Told {
  /** "backchannel:corp", "ssf:okta". */
  readonly source: string;
  /** Its jti. */
  readonly id: string;
  /** Whose people it speaks of. */
  readonly issuer: string;
  readonly statements: readonly Statement[];
}

interface Hearer {
  readonly db: Database;
  readonly env: ObjectEnv;
  readonly signal: ControlRpc["signal"];
  /** Puts what was said of a device on record; throws when it cannot. */
  readonly record: (data: Record<string, string>) => Promise<void>;
}

/** Resolves once all of it took effect. The same token gives the same ids. */
export async function hear({ db, env, signal, record }: Hearer, { source, id, issuer, statements }: Told): Promise<void> {
  await Promise.all(statements.map(async ({ name, named, effect }, i) => {
    const targets = await targetsOf(db, issuer, named);
    const compliant = effect.kind === "facts" ? effect.facts["device.compliant"] : undefined;
    const about = compliant === undefined ? undefined : parseDeviceId(named.device ?? "");
    // An id that nobody enrolled wakes no object.
    const device = about !== undefined && isDevice(db, about) ? about : undefined;
    // One of ours, and theirs: that device alone. What is older than what it knows changes nothing.
    if (compliant !== undefined && device !== undefined) {
      const stub = env.DEVICE.getByName(device);
      const owner = (await stub.describe())?.owner;
      if (targets.some((target) => target.id === owner)) {
        await stub.say({ compliant }, compliant?.observedAt ?? Date.now());
        return record({ act: "facts", facts: JSON.stringify({ compliant }), device, by: source, id });
      }
    }
    // Of another one the worse alone says something of where they are now.
    if (named.device !== undefined && compliant?.value === true) return;
    return Promise.all(targets.map((target, n) => signal({ source, id: `${id}/${i}${n === 0 ? "" : `/${target.id}`}`, name, target, effect })));
  }));
}

/** The provider's session if it brought one of ours, or if nobody is named beside it; else the person. */
async function targetsOf(db: Database, issuer: string, { sub, email, providerSession }: Named): Promise<readonly SignalTarget[]> {
  const nobodyElse = sub === undefined && email === undefined;
  if (providerSession !== undefined && (nobodyElse || knowsLogin(db, issuer, providerSession))) return [{ kind: "login", issuer, id: providerSession }];
  if (sub !== undefined) return [{ kind: "user", id: await userIdOf(issuer, sub) }];
  return email === undefined ? [] : personsOf(db, issuer, email).map((user) => ({ kind: "user", id: user }));
}
