/** Reads what the edge says on the agent's link. For the agent; the edge writes these by their types. */
import { parseConnectorId, parseRequestId, parseSiteId } from "../core/ids.ts";
import type { AgentAnswer } from "./agent-link.ts";
import { type ControlRead, named, readControl } from "./control.ts";
import { MAX_AGENT_TEXT_BYTES, MAX_DETAIL_BYTES } from "./limits.ts";
import { maybe, object, oneOf, type Shape, text, whole } from "./shape.ts";

const stream = whole(1, 2 ** 32 - 1);
const code = text(64, /^[a-z][a-z0-9_]{0,63}$/);

const ANSWER_SHAPES = {
  opened: object({ t: oneOf("opened"), stream, request: named(parseRequestId), connector: named(parseConnectorId), site: named(parseSiteId) }),
  refused: object({ t: oneOf("refused"), stream, code, request: named(parseRequestId), detail: maybe(text(MAX_DETAIL_BYTES)) }),
  closed: object({ t: oneOf("closed"), stream, code }),
  frozen: object({ t: oneOf("frozen"), stream, age: whole(0, 2 ** 32 - 1), mfa: whole(0, 1), passkey: whole(0, 7) }),
  thawed: object({ t: oneOf("thawed"), stream }),
  mark: object({ t: oneOf("mark"), n: whole(0, 2 ** 32 - 1) }),
  drain: object({ t: oneOf("drain") }),
} satisfies { readonly [T in AgentAnswer["t"]]: Shape<Extract<AgentAnswer, { readonly t: T }>> };

export const readAgentAnswer = (raw: string): ControlRead<AgentAnswer> => readControl(raw, MAX_AGENT_TEXT_BYTES, ANSWER_SHAPES);
