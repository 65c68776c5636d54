/**
 * Signing in a program without a browser of its own (RFC 8628): it shows a code, a person types it
 * at the launcher and approves, it fetches an operator token of at most 8 hours. What the token may
 * do is decided like everything else; it ends with the person's session.
 */
import { OPERATOR_AUDIENCE } from "../../core/audience.ts";
import { fromBase64Url, toBase64Url } from "../../core/bytes.ts";
import { at } from "../../core/time.ts";
import { CONTROL_NAME } from "../../durable-objects/bindings.ts";
import { createOneTimeCode, parseOneTimeCode } from "../../identity/one-time-code.ts";
import { formatOperatorToken, hashSecret, newSecret } from "../../identity/session-token.ts";
import { readBoundedText } from "../bounded-body.ts";
import { addressOf } from "../connection-facts.ts";
import { type Exchange, originOf } from "../exchange.ts";
import { LOGIN_CODE_LIFE_MS, OPERATOR_TOKEN_MS } from "../lifetimes.ts";
import { loginCodePage } from "../pages/login-code.ts";
import { personAtLauncher } from "../person-at-launcher.ts";
import { random } from "../random.ts";
import { recordAct } from "../record.ts";
import { json, page, redirect, refuse } from "../respond.ts";
import { sessionStub } from "../session-cache.ts";

export const LOGIN_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";
const POLL_SECONDS = 3;
const MAX_FORM_BYTES = 4 * 1024;
const MAX_PROGRAM_CHARS = 80;
/** The host that the one-time code of an approved program is bound to; no DNS name. */
const LOGIN_CODE_HOST = "device:";
/** No vowels, so that no word appears; no look-alikes (RFC 8628 §6.1). */
const ALPHABET = "BCDFGHJKLMNPQRSTVWXZ";
const CODE_CHARS = 8;

/** POST /.postern/device/begin {client_id} */
export async function beginLoginCode(x: Exchange): Promise<Response> {
  const text = await readBoundedText(x.request, MAX_FORM_BYTES);
  if (text === undefined) return json(x, { error: "invalid_request" }, 400);
  const form = new URLSearchParams(text);
  const secret = newSecret(random);
  const userCode = newUserCode();
  const begun = await x.env.CONTROL.getByName(CONTROL_NAME).beginLoginCode({
    userCode,
    deviceHash: toBase64Url(await hashSecret(secret)),
    program: (form.get("client_id") ?? "a program").replace(/[^\x20-\x7e]/g, "?").slice(0, MAX_PROGRAM_CHARS),
    from: addressOf(x.connection),
    expiresAt: x.now + LOGIN_CODE_LIFE_MS,
  });
  if (!begun) return refuse(x, "overloaded");
  const shown = shownCode(userCode);
  return json(x, {
    device_code: toBase64Url(secret),
    user_code: shown,
    verification_uri: `${x.launcher}/.postern/device`,
    verification_uri_complete: `${x.launcher}/.postern/device?user_code=${shown}`,
    expires_in: LOGIN_CODE_LIFE_MS / 1000,
    interval: POLL_SECONDS,
  });
}

/** GET /.postern/device: the code's form, for somebody who is signed in. */
export async function loginCodeEntry(x: Exchange): Promise<Response> {
  const signedIn = await personAtLauncher(x);
  if (signedIn === undefined) {
    const here = `${x.launcher}/.postern/device${x.url.query}`;
    return redirect(x, `${x.launcher}/.postern/login?to=${encodeURIComponent(here)}`);
  }
  const given = new URLSearchParams(x.url.query).get("user_code");
  return given === null ? enter(x, false) : confirm(x, given, signedIn.name);
}

/** POST /.postern/device: shows what asks, then carries out the decision. */
export async function decideLoginCode(x: Exchange): Promise<Response> {
  if (x.request.headers.get("origin") !== originOf(x.url)) return refuse(x, "origin_not_allowed");
  const signedIn = await personAtLauncher(x);
  if (signedIn === undefined) return refuse(x, "sign_in_required", { signInUrl: `${x.launcher}/.postern/device` });
  const form = new URLSearchParams((await readBoundedText(x.request, MAX_FORM_BYTES)) ?? "");
  const typed = form.get("user_code") ?? "";
  const decision = form.get("decision");
  if (decision === null) return confirm(x, typed, signedIn.name);
  const control = x.env.CONTROL.getByName(CONTROL_NAME);
  const userCode = canonicalCode(typed);
  const asked = userCode === undefined ? undefined : await control.loginCode(userCode);
  if (userCode === undefined || asked === undefined) return enter(x, true);
  const { presented } = signedIn;
  if (decision !== "approve") {
    await control.decideLoginCode(userCode, "refused");
    return page(x, loginCodePage({ step: "done", approved: false }));
  }
  const nonceHash = fromBase64Url(asked.deviceHash);
  if (nonceHash === undefined) return refuse(x, "internal");
  const { code, record } = await createOneTimeCode({ sid: presented.sid, host: LOGIN_CODE_HOST, nonceHash }, random, at(x.now));
  const hash = toBase64Url(await hashSecret(presented.secret));
  const minted = await sessionStub(x.env, presented.sid)?.mintCode({ audience: presented.audience, hash }, record);
  const approved = minted === true && (await control.decideLoginCode(userCode, { sid: presented.sid, code }));
  if (!approved) return enter(x, true);
  await recordAct(x, "sign_in", presented.sid, { sid: presented.sid, by: "device code", program: asked.program, from: asked.from });
  return page(x, loginCodePage({ step: "done", approved: true }));
}

/** The token endpoint's answer to a program that polls. */
export async function pollLoginCode(x: Exchange, form: URLSearchParams): Promise<Response> {
  const oauthError = (error: string): Response => json(x, { error }, 400);
  const deviceCode = fromBase64Url(form.get("device_code") ?? "");
  if (deviceCode?.length !== 32) return oauthError("invalid_request");
  const nonceHash = await hashSecret(deviceCode);
  const answer = await x.env.CONTROL.getByName(CONTROL_NAME).pollLoginCode(toBase64Url(nonceHash));
  if (answer === "unknown") return oauthError("expired_token");
  if (answer === "pending") return oauthError("authorization_pending");
  if (answer === "refused") return oauthError("access_denied");
  const code = parseOneTimeCode(answer.code);
  if (code === undefined) return oauthError("expired_token");
  const secret = newSecret(random);
  const redeemed = await sessionStub(x.env, code.sid)?.redeemCode(
    { codeHash: await hashSecret(code.secret), host: LOGIN_CODE_HOST, nonceHash },
    { kind: "operator", audience: OPERATOR_AUDIENCE, hash: toBase64Url(await hashSecret(secret)), expiresAt: x.now + OPERATOR_TOKEN_MS },
  );
  if (redeemed !== true) return oauthError("expired_token");
  return json(x, { access_token: formatOperatorToken({ sid: code.sid, secret }), token_type: "Bearer", expires_in: OPERATOR_TOKEN_MS / 1000 });
}

const enter = (x: Exchange, wrong: boolean): Response => page(x, loginCodePage({ step: "enter", actionUrl: "/.postern/device", wrong }), wrong ? 400 : 200);

async function confirm(x: Exchange, typed: string, user: string): Promise<Response> {
  const userCode = canonicalCode(typed);
  const asked = userCode === undefined ? undefined : await x.env.CONTROL.getByName(CONTROL_NAME).loginCode(userCode);
  if (userCode === undefined || asked === undefined) return enter(x, true);
  const from = asked.from === "" ? undefined : asked.from;
  return page(x, loginCodePage({ step: "confirm", actionUrl: "/.postern/device", userCode: shownCode(userCode), user, program: asked.program, from }));
}

/** As the terminal and the page both show it: "BCDF-GHJK". */
const shownCode = (userCode: string): string => `${userCode.slice(0, 4)}-${userCode.slice(4)}`;

function canonicalCode(typed: string): string | undefined {
  const plain = typed.toUpperCase().replace(/[\s-]/g, "");
  return plain.length === CODE_CHARS && [...plain].every((char) => ALPHABET.includes(char)) ? plain : undefined;
}

function newUserCode(): string {
  let code = "";
  while (code.length < CODE_CHARS) {
    // Bytes above the last whole multiple of the alphabet would make its first letters likelier.
    const byte = random(1)[0] ?? 255;
    if (byte < 240) code += ALPHABET.charAt(byte % ALPHABET.length);
  }
  return code;
}
