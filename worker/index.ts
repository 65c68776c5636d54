/**
 * The Worker's entry: the objects' classes and the fetch handler, nothing else. The bundle holds
 * modules in the order in which they are first imported; the first ones only make that layer after
 * layer, because gzip looks 32 KiB back and modules of one folder are alike (2.2 kB gzip less).
 */
import "../policy/shape-problems.ts";
import "../policy/canonical-text.ts";
import "../policy/decide.ts";
import "../policy/explain.ts";
import "../identity/oidc-login.ts";
import "../identity/passkey.ts";
import "../identity/scim-change.ts";
import "../durable-objects/tunnel/handshake.ts";
import "../durable-objects/tunnel/http-relay.ts";
import "../durable-objects/tunnel/response-headers.ts";
import "../durable-objects/tunnel/websocket-relay.ts";
import { handle } from "./app.ts";
import { Audit } from "../durable-objects/audit/audit.ts";
import { Control } from "../durable-objects/control/control.ts";
import { Device } from "../durable-objects/device/device.ts";
import { Session } from "../durable-objects/session/session.ts";
import { Signer } from "../durable-objects/signer/signer.ts";
import { Tunnel } from "../durable-objects/tunnel/tunnel.ts";
import { User } from "../durable-objects/user/user.ts";
import type { Env } from "./env.ts";

export { Audit, Control, Device, Session, Signer, Tunnel, User };

export default {
  fetch: (request: Request, env: Env, ctx: ExecutionContext): Promise<Response> => handle(request, env, (work) => ctx.waitUntil(work)),
};
