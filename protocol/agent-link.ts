/**
 * The agent's link: what an agent and the edge say to each other in texts beside the frames on
 * the agent's WebSocket (SPEC "AG"). Shapes only; who may open what is decided by the lane, and
 * what the edge answers is read by agent-answers.ts, which the edge does not carry.
 */
import { type ConnectorId, parseAppId, parseConnectorId, type RequestId, type SiteId } from "../core/ids.ts";
import { type ControlRead, named, readControl } from "./control.ts";
import { LAST_STREAM_ID, MAX_AGENT_TEXT_BYTES } from "./limits.ts";
import { maybe, object, oneOf, type Shaped, whole } from "./shape.ts";

export const AGENT_SUBPROTOCOL = "postern.agent.v1";

const AGENT_SHAPES = {
  /** A new stream to an app; `connector` asks for exactly that one, to attach to what it holds. */
  open: object({ t: oneOf("open"), stream: whole(1, LAST_STREAM_ID), app: named(parseAppId), connector: maybe(named(parseConnectorId)) }),
  /** It has read all that came before the mark. */
  mark: object({ t: oneOf("mark"), n: whole(0, 2 ** 32 - 1) }),
};

/** What the agent says to the edge. */
export type AgentMessage = Shaped<(typeof AGENT_SHAPES)[keyof typeof AGENT_SHAPES]>;
export type AgentOpen = Shaped<(typeof AGENT_SHAPES)["open"]>;

/** What the edge says to the agent. Codes are short names that the agent turns into words. */
export type AgentAnswer =
  | { readonly t: "opened"; readonly stream: number; readonly request: RequestId; readonly connector: ConnectorId; readonly site: SiteId }
  | { readonly t: "refused"; readonly stream: number; readonly code: string; readonly request: RequestId; readonly detail?: string | undefined }
  /** The edge ends this stream; its RST follows. */
  | { readonly t: "closed"; readonly stream: number; readonly code: string }
  /** Nothing passes on this stream until the person signed in again: within `age` seconds (0: whenever), with a second factor if `mfa` is 1; `passkey` are the passkeys of ours that would do, in bits (policy/passkey.ts). */
  | { readonly t: "frozen"; readonly stream: number; readonly age: number; readonly mfa: number; readonly passkey: number }
  /** It goes on. */
  | { readonly t: "thawed"; readonly stream: number }
  /** To be sent back as it is, once all before it is read. */
  | { readonly t: "mark"; readonly n: number }
  /** Open nothing more here; connect anew. */
  | { readonly t: "drain" };

/** Reads a text from an agent, at the edge. */
export const readAgentMessage = (raw: string): ControlRead<AgentMessage> => readControl(raw, MAX_AGENT_TEXT_BYTES, AGENT_SHAPES);
