/**
 * Sessions that this isolate verified lately: credential → snapshot. A cache for deciding early;
 * whether bytes flow is decided by a lane under its own lease, and a denial is confirmed at the
 * session before it is shown.
 */
import type { Audience } from "../core/audience.ts";
import { toBase64Url } from "../core/bytes.ts";
import type { SessionId } from "../core/ids.ts";
import { sessionOf } from "../durable-objects/bindings.ts";
import { spreadOf } from "../durable-objects/lease-terms.ts";
import type { SessionSnapshot } from "../durable-objects/session/rpc.ts";
import { hashSecret } from "../identity/session-token.ts";
import type { Env } from "./env.ts";

/** How long a verified credential is believed here. */
export const SESSION_CACHE_MS = 20_000;
/** Bounds memory per isolate; the oldest goes first. */
const MAX_CACHED_COUNT = 5_000;

/** Who presents a session, and where. */
export interface Presented {
  readonly sid: SessionId;
  readonly secret: Uint8Array;
  /** What the secret must be for. */
  readonly audience: Audience;
  /** The service that the credential claims to be, where it names one. */
  readonly service?: string;
}

interface Cached {
  readonly snapshot: SessionSnapshot;
  readonly until: number;
}

const caches = new WeakMap<object, Map<string, Cached>>();

/** The session if the credential opens it for this audience. `fresh` asks the session itself. Throws when it cannot be asked. */
export async function verifiedSession(env: Env, presented: Presented, now: number, fresh = false, active = false): Promise<SessionSnapshot | undefined> {
  const snapshot = await lookUp(env, presented, now, fresh, active);
  return presented.service === undefined || snapshot?.subject.id === presented.service ? snapshot : undefined;
}

async function lookUp(env: Env, presented: Presented, now: number, fresh: boolean, active: boolean): Promise<SessionSnapshot | undefined> {
  let cache = caches.get(env.SESSION);
  if (cache === undefined) caches.set(env.SESSION, (cache = new Map()));
  const hash = hashes.get(presented.secret) ?? (await hashed(presented.secret));
  const key = `${presented.sid}\n${hash}\n${presented.audience}`;
  const cached = cache.get(key);
  // Its end is exact, whatever an alarm does: from then on the session itself is asked.
  if (!fresh && cached !== undefined && now < Math.min(cached.until, cached.snapshot.endsAt)) return cached.snapshot;
  const session = sessionStub(env, presented.sid);
  const snapshot = session === undefined ? undefined : await session.verify(presented.audience, hash, active);
  cache.delete(key);
  if (snapshot === undefined) return undefined;
  cache.set(key, { snapshot, until: now + SESSION_CACHE_MS - spreadOf(presented.sid) });
  if (cache.size > MAX_CACHED_COUNT) {
    const oldest = cache.keys().next().value;
    if (oldest !== undefined) cache.delete(oldest);
  }
  return snapshot;
}

/** Of secrets seen lately, by the very bytes: credentials.ts keeps those of cookies that come again and again. */
const hashes = new WeakMap<Uint8Array, string>();

async function hashed(secret: Uint8Array): Promise<string> {
  const hash = toBase64Url(await hashSecret(secret));
  hashes.set(secret, hash);
  return hash;
}

/** Undefined for an id that our namespace never minted: a guess reaches no object. */
export function sessionStub(env: Env, sid: SessionId): ReturnType<Env["SESSION"]["get"]> | undefined {
  try {
    return sessionOf(env, sid);
  } catch {
    return undefined;
  }
}
