/**
 * `postern curl`: one request to an app with the token, which is sent to hosts of the edge only
 * and never printed. Not curl: no redirects, no cookies, no more options than these.
 */
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { parseServiceToken } from "../../identity/session-token.ts";
import { refusal, visibleApps } from "../../protocol/admin-api-shapes.ts";
import { declare, does, type Runner } from "../command.ts";
import { edgeClient } from "../edge-client.ts";
import { type EdgeRoute, parseEdgeUrl, routeTo } from "../edge-route.ts";
import { errorCode, Failure, usageFailure } from "../failure.ts";
import { diagnose, send } from "../http.ts";
import { edgeRoute, type Invocation, token } from "../invocation.ts";

interface Options {
  readonly request?: string;
  readonly data?: string;
  readonly header: readonly string[];
  readonly include?: boolean;
  readonly maxTime: string;
}

const NEWLINE = 0x0a;
/** No refusal of the edge is longer. */
const MAX_REFUSAL_BYTES = 65_536;
const DEFAULT_SECONDS = "300";
const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\t]*)$/;
/** Headers that carry the credential or the host: ours to set. */
const RESERVED = new Set(["host", "content-length", "connection", "transfer-encoding", "postern-client-id", "postern-client-secret"]);

export function addCurl(program: Command, runner: Runner): void {
  const command = declare(program, "curl <url>", "send one request to an app with the token and print the answer's body; exit 1 from status 400 on")
    .option("-X, --request <method>", "default GET, or POST with -d")
    .option("-d, --data <data>", "the body; @FILE reads a file, @- standard input")
    .option("-H, --header <line>", "a header, as Name: value; repeatable", (line: string, before: readonly string[]) => [...before, line], [])
    .option("-i, --include", "print status and headers first")
    .option("--max-time <seconds>", "give up after this long", DEFAULT_SECONDS);
  does<Options>(command, runner, async ([text = ""], options, invocation) => {
    const url = URL.parse(text);
    if (url === null) throw usageFailure("that is no URL", "it must be the whole address, such as https://wiki.access.example.com/");
    const seconds = /^[0-9]{1,5}$/.test(options.maxTime) ? Number(options.maxTime) : 0;
    if (seconds === 0) throw usageFailure("--max-time is no number of seconds", "1 to 99999");
    const method = options.request ?? (options.data === undefined ? "GET" : "POST");
    if (!/^[A-Z]{1,20}$/.test(method)) throw usageFailure("-X is no method", "methods are upper-case words, such as GET");
    const headers = readHeaders(options.header);
    const edge = edgeRoute(invocation);
    const secret = await token(invocation);
    await checkTarget(url, edge, secret);
    const body = await readBody(options.data, invocation);
    return perform(invocation, routeTo(parseEdgeUrl(url.origin), invocation.ca, invocation.io.env), {
      method,
      path: url.pathname + url.search,
      headers: { accept: "*/*", ...(body === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }), ...headers, ...credential(secret, headers) },
      ...(body === undefined ? {} : { body }),
      deadlineMs: seconds * 1000,
    }, options.include === true);
  });
}

async function perform(invocation: Invocation, route: EdgeRoute, asked: Parameters<typeof send>[1], include: boolean): Promise<number> {
  const { io, json } = invocation;
  const answer = await send(route, asked);
  const status = answer.statusCode ?? 0;
  const head = Object.entries(answer.headers).flatMap(([name, value]) => [value ?? []].flat().map((one) => `${name}: ${one}\n`));
  if (include && !json) io.out(`${status}\n${head.join("")}\n`);
  const parts: Buffer[] = [];
  let bytes = 0;
  let ending: number | undefined;
  try {
    for await (const part of answer as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (json || (status >= 400 && bytes <= MAX_REFUSAL_BYTES)) parts.push(part);
      if (!json) io.out(part);
      ending = part.at(-1) ?? ending;
    }
  } catch (error) {
    // A broken transfer is a failure, never a short success (DESIGN §3, promise 7).
    throw diagnose(error, route);
  }
  const text = Buffer.concat(parts).toString("utf8");
  if (json) io.out(`${JSON.stringify({ status, headers: answer.headers, body: text })}\n`);
  if (status < 400) return 0;
  // The error starts a line of its own, also after a body that does not end one.
  if (!json && ending !== undefined && ending !== NEWLINE) io.err("\n");
  const id = answer.headers["postern-request-id"];
  io.err(`error: ${route.origin.host} answered ${status}\n${typeof id === "string" && bytes <= MAX_REFUSAL_BYTES && isRefusal(text, id) ? `fix: postern explain ${id}\n` : ""}`);
  return 1;
}

/** Whether an answer is the edge's own refusal: an app's 404 carries a request id too, and there is nothing to explain about it. */
function isRefusal(text: string, requestId: string): boolean {
  try {
    const own = refusal.safeParse(JSON.parse(text));
    return own.success && own.data.error.request_id === requestId;
  } catch {
    return false;
  }
}

/** The token is the Authorization, or, when that is the app's own, a service token goes beside it. */
function credential(secret: string, headers: Readonly<Record<string, string>>): Record<string, string> {
  if (headers["authorization"] === undefined) return { authorization: `Bearer ${secret}` };
  const service = parseServiceToken(secret);
  if (service !== undefined) return { "postern-client-id": service.id, "postern-client-secret": secret };
  throw usageFailure("this token takes the place of your Authorization header", "only a service token can be sent beside one", "postern service create NAME --expires 90d");
}

function readHeaders(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const [, name, value] = HEADER.exec(line) ?? [];
    if (name === undefined || value === undefined) throw usageFailure("-H is no header", "it looks like Name: value, on one line");
    if (RESERVED.has(name.toLowerCase())) throw usageFailure(`the header ${name} is not yours to set here`, "it says where the request goes or who asks");
    headers[name.toLowerCase()] = value;
  }
  return headers;
}

/** The token leaves for hosts of this edge only: the launcher, names below it, and apps that the edge names. */
async function checkTarget(url: URL, edge: EdgeRoute, secret: string): Promise<void> {
  const { origin } = edge;
  const below = url.hostname === origin.hostname || url.hostname.endsWith(`.${origin.hostname}`);
  if (url.protocol === origin.protocol && url.port === origin.port) {
    if (below) return;
    const { apps } = (await edgeClient(edge, secret).get("/", visibleApps)).value;
    if (apps.some((app) => app.host === url.hostname)) return;
  }
  throw new Failure("foreign_host", `${url.host} is no app of ${origin.host}`, "the token would be handed to a stranger", ["postern apps lists the addresses"], { exit: 2 });
}

async function readBody(data: string | undefined, { io }: Invocation): Promise<string | Uint8Array | undefined> {
  if (data === undefined || !data.startsWith("@")) return data;
  if (data === "@-") return io.stdin();
  try {
    return await readFile(data.slice(1));
  } catch (error) {
    throw new Failure("file_unreadable", `${data.slice(1)} cannot be read`, `the system says ${errorCode(error) ?? "no reason"}`, ["check the path"]);
  }
}
