/**
 * The edge's API as commands call it: the path and the shape of the answer in, the answer out.
 * Refusals become Failures with the edge's own words.
 */
import type * as z from "zod/mini";
import { ERROR_TEXTS } from "../core/error-texts.ts";
import { parseErrorCode } from "../core/errors.ts";
import { formatProblem, type Problem } from "../policy/problems.ts";
import { type problem, refusal } from "../protocol/admin-api-shapes.ts";
import { BREAK_GLASS_HEADER } from "../protocol/header-names.ts";
import { READY_PATH } from "../protocol/paths.ts";
import { TRUNCATED_HEADER } from "../protocol/truncated.ts";
import type { EdgeRoute } from "./edge-route.ts";
import { Failure } from "./failure.ts";
import { exchange, type HttpAnswer } from "./http.ts";
import { printable } from "./printable.ts";
import type { WrittenDocument } from "./written-document.ts";

/** Reading is quick or it is broken. */
const READ_MS = 30_000;
/** A change is answered when every lane confirmed or its lease (30 s) is over; some grace for the way. */
const CHANGE_MS = 90_000;

export interface Answer<T> {
  readonly value: T;
  /** As the edge sent it, for --json. */
  readonly json: unknown;
  /** What is missing from a list that is not whole, as the edge counts it. */
  readonly truncated?: string;
  /** "open" or "counting", and until when, beside an answer that operators look at. */
  readonly breakGlass?: string;
}

export interface Sent {
  readonly body: string;
  /** JSON if absent. */
  readonly type?: string;
  /** Where the body came from; the edge knows neither its name nor its lines. */
  readonly document?: WrittenDocument;
}

export interface EdgeClient {
  readonly route: EdgeRoute;
  get: <S extends z.ZodMiniType>(path: string, shape: S) => Promise<Answer<z.infer<S>>>;
  post: <S extends z.ZodMiniType>(path: string, sent: Sent, shape: S) => Promise<Answer<z.infer<S>>>;
}

/** A client that authenticates with `secret` as bearer; undefined: with nothing. */
export function edgeClient(route: EdgeRoute, secret: string | undefined): EdgeClient {
  const own = { accept: "application/json", ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }) };
  return {
    route,
    get: async (path, shape) => readAnswer(await exchange(route, { method: "GET", path, headers: own, deadlineMs: READ_MS }), shape, route),
    post: async (path, sent, shape) =>
      readAnswer(await exchange(route, { method: "POST", path, headers: { ...own, "content-type": sent.type ?? "application/json" }, body: sent.body, deadlineMs: CHANGE_MS }), shape, route, sent.document),
  };
}

/** Problems as they came: what JSON left out is absent. */
export const problemsOf = (told: readonly z.infer<typeof problem>[]): readonly Problem[] =>
  told.map(({ fix, file, line, column, at, ...one }) => ({
    ...one,
    ...(fix === undefined ? {} : { fix }),
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
    ...(column === undefined ? {} : { column }),
    ...(at === undefined ? {} : { at }),
  }));

/** A JSON body. */
export const sentJson = (value: unknown): Sent => ({ body: JSON.stringify(value) });

/** A form, as a browser sends it. */
export const sentForm = (fields: Readonly<Record<string, string>>): Sent => ({ body: new URLSearchParams(fields).toString(), type: "application/x-www-form-urlencoded" });

/** A policy document as the body. */
export const sentDocument = (document: WrittenDocument): Sent => ({ body: document.canonical, document });

function readAnswer<S extends z.ZodMiniType>(answer: HttpAnswer, shape: S, route: EdgeRoute, document?: WrittenDocument): Answer<z.infer<S>> {
  const json = parsed(answer.text);
  if (answer.status < 200 || answer.status > 299) throw refused(answer.status, json, route, document);
  const read = shape.safeParse(json);
  if (!read.success) {
    throw new Failure("odd_answer", `the answer of ${route.origin.origin} is not what this version understands`, "the URL may be another site, or edge and command line are of different versions", ["check the URL; update the clone that you run this from, or deploy the edge anew"]);
  }
  const truncated = answer.headers[TRUNCATED_HEADER];
  const breakGlass = answer.headers[BREAK_GLASS_HEADER];
  return {
    value: read.data,
    json,
    ...(typeof truncated === "string" ? { truncated: printable(truncated) } : {}),
    ...(typeof breakGlass === "string" ? { breakGlass: printable(breakGlass) } : {}),
  };
}

/** What an answer that is no success says, in the edge's own words if they are its. */
export const refusedBy = ({ status, text }: HttpAnswer, route: EdgeRoute): Failure => refused(status, parsed(text), route, undefined);

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function refused(status: number, json: unknown, route: EdgeRoute, document: WrittenDocument | undefined): Failure {
  const read = refusal.safeParse(json);
  if (!read.success) {
    return new Failure("not_postern", `${route.origin.origin} answered ${status}, not as a Postern edge does`, "a proxy answered, or the URL is another site", [`curl -sS ${route.origin.origin}${READY_PATH}`]);
  }
  const { code, message, fix, request_id: requestId, login_url: loginUrl } = read.data.error;
  const known = parseErrorCode(code);
  const told = read.data.error.problems === undefined ? undefined : problemsOf(read.data.error.problems);
  const problems = told === undefined || document === undefined ? told : document.inFile(told);
  const tests = read.data.error.tests?.map((one) => (document === undefined ? one : { ...one, line: document.testLine(one.index) }));
  const details = [
    ...(problems ?? []).map(formatProblem),
    ...(tests ?? []).map((one) => `${document?.file ?? "postern.yaml"}:${one.line ?? 1}:1: test ${one.index + 1} fails: ${one.message}`),
  ].map(printable);
  return new Failure(code, known === undefined ? `the edge refuses (${status})` : ERROR_TEXTS[known].title, printable(message), fix.map(printable), {
    requestId,
    details,
    extra: { ...(loginUrl === undefined ? {} : { login_url: loginUrl }), ...(problems === undefined ? {} : { problems }), ...(tests === undefined ? {} : { tests }) },
  });
}
