/** What a sign-in that a user's own object refuses is answered with. */
import type { ErrorCode } from "../core/errors.ts";
import type { UserRpc } from "../durable-objects/user/rpc.ts";

type Refusal = Extract<Awaited<ReturnType<UserRpc["signIn"]>>, { ok: false }>["code"];

export const SIGN_IN_REFUSALS = { revoked: "revoked", full: "too_many_sessions" } as const satisfies Readonly<Record<Refusal, ErrorCode>>;
