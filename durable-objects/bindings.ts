/**
 * The namespaces that the objects call each other through, and the secrets they read. Stubs are
 * typed by the callee's `rpc.ts`, never by its class, so that no object imports another's code.
 * Calls follow authority (M10): control → user → session → tunnel; tunnel → session and
 * tunnel → control are questions; everybody → audit and signer, which call nobody.
 */
import type { AuditRpc } from "./audit/rpc.ts";
import type { ControlRpc } from "./control/rpc.ts";
import type { DeviceRpc } from "./device/rpc.ts";
import type { SessionRpc } from "./session/rpc.ts";
import type { SignerRpc } from "./signer/rpc.ts";
import type { TunnelRpc } from "./tunnel/rpc.ts";
import type { UserRpc } from "./user/rpc.ts";

export interface ObjectId {
  toString(): string;
}
export type Stub<Rpc> = Rpc & { fetch(request: Request): Promise<Response> };
export interface Namespace<Rpc> {
  /** `locationHint`: where the object is made, if this call makes it; best effort. */
  getByName(name: string, options?: { readonly locationHint?: string }): Stub<Rpc>;
  get(id: ObjectId): Stub<Rpc>;
  idFromName(name: string): ObjectId;
  /** Throws for an id that this namespace did not mint: a guessed session id never reaches an object. */
  idFromString(id: string): ObjectId;
  newUniqueId(): ObjectId;
}

export interface ObjectEnv {
  readonly CONTROL: Namespace<ControlRpc>;
  readonly USER: Namespace<UserRpc>;
  readonly SESSION: Namespace<SessionRpc>;
  readonly TUNNEL: Namespace<TunnelRpc>;
  readonly AUDIT: Namespace<AuditRpc>;
  readonly SIGNER: Namespace<SignerRpc>;
  readonly DEVICE: Namespace<DeviceRpc>;
}

/** A session's object, by its id. Throws for one that its namespace did not mint. */
export const sessionOf = ({ SESSION }: Pick<ObjectEnv, "SESSION">, sid: string): Stub<SessionRpc> => SESSION.get(SESSION.idFromString(sid));

/** The one control object. */
export const CONTROL_NAME = "control";
/** Signers share the signing load; a session always asks the same one. */
export const SIGNER_COUNT = 2;
/** Audit shards of the edge (denials, sign-ins); each lane has one of its own. */
export const EDGE_AUDIT_SHARD_COUNT = 4;

export const SIGNER_NAMES: readonly string[] = Array.from({ length: SIGNER_COUNT }, (_, i) => `signer/${i}`);
export const EDGE_AUDIT_NAMES: readonly string[] = Array.from({ length: EDGE_AUDIT_SHARD_COUNT }, (_, i) => `edge/${i}`);

export const laneName = (site: string, lane: number): string => `${site}/${lane}`;
export const signerName = (key: string): string => `signer/${bucket(key, SIGNER_COUNT)}`;
export const edgeAuditName = (key: string): string => `edge/${bucket(key, EDGE_AUDIT_SHARD_COUNT)}`;
export const laneAuditName = (lane: string): string => `lane/${lane}`;
export const CONTROL_AUDIT_NAME = "control";

/** FNV-1a over UTF-16 units: spreads, proves nothing. */
export function bucket(key: string, count: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193) >>> 0;
  return hash % count;
}
