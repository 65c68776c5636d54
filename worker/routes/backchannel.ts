/** POST /.postern/backchannel/<provider>: a provider says that a session of its is over (OpenID Connect Back-Channel Logout 1.0 §2.5). Answered once every connection is cut. */
import { CONTROL_NAME } from "../../durable-objects/bindings.ts";
import { verifyLogoutToken } from "../../identity/logout-token.ts";
import { discover } from "../../identity/oidc-discovery.ts";
import type { Exchange } from "../exchange.ts";
import { oidcIo } from "../providers.ts";
import { readPushed, taken } from "../pushed.ts";
import { blank, json, refuse } from "../respond.ts";

const MAX_FORM_BYTES = 80 * 1024;

export async function backchannelLogout(x: Exchange, id: string): Promise<Response> {
  const found = x.policy?.document.providers.find((one) => one.id === id);
  if (found === undefined) return blank(x);
  const text = await readPushed(x, ["application/x-www-form-urlencoded"], MAX_FORM_BYTES);
  const [token, second] = typeof text === "string" ? new URLSearchParams(text).getAll("logout_token") : [];
  if (token === undefined || second !== undefined) return no(x, "expected one logout_token in a form");
  // Its keys are all that is needed here.
  const { clientSecret: _unused, ...provider } = found;
  const io = oidcIo(x.env);
  const as = await discover(provider, io);
  const read = as.ok ? await verifyLogoutToken(token, provider, as.value, io) : as;
  if (!read.ok) return read.error.code === "token_invalid" || read.error.code === "clock_wrong" ? no(x, read.error.cause) : refuse(x, "provider_unreachable");
  const { jti, named } = read.value;
  await x.env.CONTROL.getByName(CONTROL_NAME).hear({ source: `backchannel:${id}`, id: jti, issuer: found.issuer, statements: [{ name: "logout", named, effect: { kind: "end" } }] });
  return taken(x, 200);
}

const no = (x: Exchange, description: string): Response => json(x, { error: "invalid_request", error_description: description }, 400);
