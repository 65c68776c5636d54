/**
 * `postern login` and `logout`: a person lets this command line in with a browser anywhere (RFC
 * 8628). The token goes into a file for the owner only; it ends with the person's session.
 */
import { accessSync, constants, existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Command } from "commander";
import { loginCodeBegun, loginCodeToken, oauthRefusal, signedOut } from "../../protocol/login-code-shapes.ts";
import { LOGIN_CODE_BEGIN_PATH, LOGOUT_PATH, READY_PATH, TOKEN_PATH } from "../../protocol/paths.ts";
import { renderUnicodeCompact } from "uqr";
import { replacePrivately } from "../../agent/state-folder.ts";
import { declare, does, type Runner } from "../command.ts";
import { parseServiceToken } from "../../identity/session-token.ts";
import type { EdgeRoute } from "../edge-route.ts";
import { edgeClient, sentJson } from "../edge-client.ts";
import { errorCode, Failure, usageFailure } from "../failure.ts";
import { exchange } from "../http.ts";
import { edgeRoute, type Invocation, show, token } from "../invocation.ts";
import { printable } from "../printable.ts";

const ANSWER_MS = 30_000;
const LOGIN_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";
/** What a terminal has room for as a code, and a line as text. An edge's own has fewer than 300. */
const MAX_ADDRESS_CHARS = 400;
const PROGRAM = "postern command line";

export function addLogin(program: Command, runner: Runner): void {
  const login = declare(program, "login", "sign this command line in as a person, by a code and a browser; the token goes into --token-file");
  does(login, runner, async (_args, _options, invocation) => {
    const { tokenFile, io, secrets } = invocation;
    if (tokenFile === undefined || tokenFile === "-") throw usageFailure("--token-file is missing", "the token is kept in a file", "--token-file FILE, or set POSTERN_TOKEN_FILE");
    const route = edgeRoute(invocation);
    // Before anybody is asked for anything: a token that was approved must find its place.
    tryPlace(tokenFile);
    const begun = loginCodeBegun.parse(await form(route, LOGIN_CODE_BEGIN_PATH, { client_id: PROGRAM }).then((answer) => answer.json));
    secrets.add(begun.device_code);
    const address = printable(addressToOpen(begun.verification_uri_complete, route));
    if (isHeadless(invocation)) io.err(`${renderUnicodeCompact(address)}\n`);
    io.err(`Open ${address}\nand check that it shows the code ${printable(begun.user_code)}\n`);
    const granted = await untilDecided(route, begun, io.now);
    secrets.add(granted.access_token);
    keep(tokenFile, granted.access_token);
    const expiresAt = new Date(io.now() + granted.expires_in * 1000).toISOString();
    show(invocation, { token_file: tokenFile, expires_at: expiresAt }, () => `signed in until ${expiresAt}; token: in ${tokenFile}\n`);
    return 0;
  });
}

export function addLogout(program: Command, runner: Runner): void {
  const logout = declare(program, "logout", "end the sign-in of --token-file, everywhere, and remove the file");
  does(logout, runner, async (_args, _options, invocation) => {
    const route = edgeRoute(invocation);
    const secret = await token(invocation);
    if (parseServiceToken(secret) !== undefined) {
      throw usageFailure("this token is a service's, not a person's sign-in", "logout ends a sign-in of postern login; nothing was ended and the file is as it was", "postern revoke service NAME ends every token of a service", "postern logout --token-file FILE, with the file of your own sign-in");
    }
    const client = edgeClient(route, secret);
    const { json } = await client.post(LOGOUT_PATH, sentJson({}), signedOut);
    if (invocation.tokenFile !== undefined && invocation.tokenFile !== "-") rmSync(invocation.tokenFile, { force: true });
    show(invocation, json, () => "signed out; every connection of that sign-in is closed\n");
    return 0;
  });
}

/** The edge's own pages and nothing else: a code is scanned without being read, and may be a WLAN, a number to call or another site. Throws Failure. */
function addressToOpen(text: string, { origin }: EdgeRoute): string {
  const url = URL.parse(text);
  if (url !== null && url.href.length <= MAX_ADDRESS_CHARS && url.origin === origin.origin && url.username === "" && url.password === "") return url.href;
  throw new Failure("odd_address", "the edge names an address that is not its own, or a very long one", `a sign-in at ${origin.origin} is approved there and nowhere else`, ["is --edge the launcher's address? postern edge-status shows what answers", "ask whoever administers the edge"]);
}

/** Somebody sits at a terminal, and no browser can be opened beside it: a telephone reads the address from the screen. */
function isHeadless({ io, json }: Invocation): boolean {
  if (io.ask === undefined || json) return false;
  const variable = (name: string): boolean => (io.env[name] ?? "") !== "";
  return variable("SSH_CONNECTION") || (process.platform === "linux" && !variable("DISPLAY") && !variable("WAYLAND_DISPLAY"));
}

async function untilDecided(route: EdgeRoute, begun: ReturnType<typeof loginCodeBegun.parse>, now: () => number): Promise<ReturnType<typeof loginCodeToken.parse>> {
  const deadline = now() + begun.expires_in * 1000;
  while (now() < deadline) {
    await new Promise((wake) => setTimeout(wake, begun.interval * 1000));
    const answer = await form(route, TOKEN_PATH, { grant_type: LOGIN_CODE_GRANT, device_code: begun.device_code });
    const granted = loginCodeToken.safeParse(answer.json);
    if (granted.success) return granted.data;
    const refused = oauthRefusal.safeParse(answer.json);
    const error = refused.success ? refused.data.error : "odd_answer";
    if (error === "authorization_pending" || error === "slow_down") continue;
    if (error === "access_denied") throw new Failure("denied", "the sign-in was refused in the browser", "somebody pressed Refuse", ["postern login"]);
    throw new Failure("login_expired", "the sign-in was not completed", "the code ran out, or its session ended", ["postern login"]);
  }
  throw new Failure("login_expired", "the sign-in was not completed in time", "nobody approved the code", ["postern login"]);
}

async function form(route: EdgeRoute, path: string, fields: Readonly<Record<string, string>>): Promise<{ readonly json: unknown }> {
  const headers = { accept: "application/json", "content-type": "application/x-www-form-urlencoded" };
  const answer = await exchange(route, { method: "POST", path, headers, body: new URLSearchParams(fields).toString(), deadlineMs: ANSWER_MS });
  try {
    return { json: JSON.parse(answer.text) as unknown };
  } catch {
    throw new Failure("not_postern", `${route.origin.origin} answered ${answer.status}, not as a Postern edge does`, "a proxy answered, or the URL is another site", [`curl -sS ${route.origin.origin}${READY_PATH}`]);
  }
}

/** Refuses (exit 2) a file that holds a service's token, which cannot be had again; throws Failure when the file cannot be written. */
function tryPlace(file: string): void {
  const another = "postern login --token-file FILE, with another path";
  try {
    if (existsSync(file)) {
      if (statSync(file).isDirectory()) throw new Failure("file_unwritable", `${file} is a folder`, "the token goes into a file", [another]);
      if (parseServiceToken(readFileSync(file, "utf8").trim()) !== undefined) throw usageFailure(`${file} holds a service's token`, "a sign-in would overwrite it, and it cannot be shown again", another);
    }
    accessSync(dirname(file), constants.W_OK);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure("file_unwritable", `${file} cannot be written`, `the system says ${errorCode(error) ?? "no reason"}`, [another]);
  }
}

/** Replaces the file whole: a reader never finds half a token. */
function keep(file: string, text: string): void {
  try {
    replacePrivately(file, `${text}\n`);
  } catch (error) {
    throw new Failure("file_unwritable", `${file} cannot be written`, `the system says ${errorCode(error) ?? "no reason"}`, ["give another path, then postern login again"]);
  }
}
