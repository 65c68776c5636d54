/**
 * The answers that `postern login` and `postern logout` read: RFC 8628's and the sign-out's. Not
 * of the admin API (admin-api-shapes.ts), so not in docs/openapi.json.
 */
import * as z from "zod/mini";

const text = z.string();
const count = z.int().check(z.nonnegative());

/** POST /.postern/device/begin (RFC 8628 §3.2). */
export const loginCodeBegun = z.object({
  device_code: text,
  user_code: text,
  verification_uri: text,
  verification_uri_complete: text,
  expires_in: count,
  interval: count,
});

/** POST /.postern/token: the token, or RFC 6749's refusal. */
export const loginCodeToken = z.object({ access_token: text, token_type: text, expires_in: count });
export const oauthRefusal = z.object({ error: text });

/** POST /.postern/logout with a token. */
export const signedOut = z.object({ signed_out: z.boolean() });
