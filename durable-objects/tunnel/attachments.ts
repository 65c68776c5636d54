/**
 * What a lane keeps on its sockets so that it survives hibernation (M3): at most 16 KiB each,
 * versioned, because the code that reads may be newer than the code that wrote (M13).
 */
import type { AppId, ConnectorId, RequestId, SessionId } from "../../core/ids.ts";
import type { Limits } from "../../policy/decision.ts";
import type { Ask, Fact } from "../../policy/facts.ts";
import type { StreamSnapshot } from "../../protocol/mux-stream.ts";
import type { KeptUnread } from "./unread.ts";

/** A connector's socket after its hello was verified; before that it has no attachment worth keeping. */
export interface ConnectorAttachment {
  readonly v: 1;
  readonly role: "connector";
  readonly link: string;
  readonly connector: ConnectorId;
  readonly thumbprint: string;
  /** The socket's MAC key (M17). Secret; it never leaves this object and its runtime. */
  readonly mac: string;
  /** No stream id below this is used again. */
  readonly idsUsed: number;
  readonly welcomedAt: number;
  /** It said that it leaves: nothing new goes to it, also after a wake. */
  readonly draining?: true;
  /** How often the lane has woken since its hello. */
  readonly wakes?: number;
  /** It takes tickets for bulk bodies (M15). */
  readonly bulk?: boolean;
}

/** A browser's WebSocket that is relayed. */
export interface ClientAttachment {
  readonly v: 1;
  readonly role: "client";
  readonly link: string;
  readonly number: number;
  readonly id: RequestId;
  readonly sid?: SessionId;
  readonly ask: Ask;
  readonly connection: { readonly [name: string]: Fact };
  readonly issuer: string;
  readonly openedAt: number;
  readonly redecideAt: number;
  readonly limits: Limits;
  readonly policyVersion: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly bytesTold: number;
  readonly window: StreamSnapshot;
  /** What the browser was sent since it last said something (M12). */
  readonly unheard?: number;
}

/** An agent's WebSocket with the streams on it. */
export interface AgentAttachment extends KeptUnread {
  readonly v: 1;
  readonly role: "agent";
  /** Random; a stream's request id is made of it and the stream's number here. */
  readonly id: string;
  readonly sid: SessionId;
  /** The subject's id: whose sockets are counted together. */
  readonly who: string;
  readonly connection: { readonly [name: string]: Fact };
  readonly issuer: string;
  /** No stream id up to this is opened again. */
  readonly newest: number;
  /** What `streams` names by index. */
  readonly apps: readonly AppId[];
  readonly links: readonly string[];
  /** agent-streams.ts packs and unpacks it. */
  readonly streams: Uint32Array;
}

export type Attachment = ConnectorAttachment | ClientAttachment | AgentAttachment;

/** Undefined for a socket of an unknown version or without one: it is closed, never guessed at. */
export function readAttachment(socket: WebSocket): Attachment | undefined {
  const stored = socket.deserializeAttachment() as Partial<Attachment> | null;
  if (stored?.v !== 1 || (stored.role !== "connector" && stored.role !== "client" && stored.role !== "agent")) return undefined;
  return stored as Attachment;
}
