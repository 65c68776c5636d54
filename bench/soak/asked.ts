/**
 * Answers whose every line names who asked for what, in the way that the path says: how late, with
 * which status, how long, with a length or without one, or not at all. Both ends of the crowd's proof use it.
 */
import type { IncomingMessage, ServerResponse } from "node:http";

export interface Asked {
  readonly afterMs: number;
  readonly status: number;
  readonly lines: number;
  /** "broken": the app drops the connection instead. */
  readonly how: "length" | "chunked" | "broken";
  /** Different for each request. */
  readonly name: string;
}

const PATH = /^\/as\/([0-9]+)\/([0-9]{3})\/([0-9]+)\/(length|chunked|broken)\/([\w-]+)$/;

export const isAsked = (path: string): boolean => path.startsWith("/as/");
export const pathOf = ({ afterMs, status, lines, how, name }: Asked): string => `/as/${afterMs}/${status}/${lines}/${how}/${name}`;
/** `user` as the app is told it. */
export const lineOf = (user: string, path: string): string => `${user} ${path}\n`;

export function answerAsAsked(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url ?? "";
  const [, afterMs, status, lines, how] = PATH.exec(path) ?? [];
  const answer = (): void => {
    if (how === "broken") return void request.socket.destroy();
    const text = lineOf(String(request.headers["x-postern-user"]), path).repeat(Number(lines));
    response.statusCode = Number(status);
    response.setHeader("x-asked", path);
    if (how === "length") response.setHeader("content-length", text.length);
    else response.write(text.slice(0, 1));
    response.end(request.method === "HEAD" ? undefined : how === "length" ? text : text.slice(1));
  };
  if (Number(afterMs) === 0) answer();
  else setTimeout(answer, Number(afterMs));
}
