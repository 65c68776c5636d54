/** Why the agent cannot go on, for a person: what, why, what to do next. Never holds a secret. */
export class AgentFailure extends Error {
  /** Stable word for scripts; the edge's or the connector's own code when they refused. */
  readonly code: string;
  readonly why: string;
  readonly fix: readonly string[];
  readonly requestId: string | undefined;
  /** Trying again by itself may help. */
  readonly isPassing: boolean;

  constructor(code: string, what: string, why: string, fix: readonly string[], more: { readonly requestId?: string | undefined; readonly isPassing?: boolean } = {}) {
    super(what);
    this.name = "AgentFailure";
    this.code = code;
    this.why = why;
    this.fix = fix;
    this.requestId = more.requestId;
    this.isPassing = more.isPassing ?? false;
  }
}
