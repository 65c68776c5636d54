/**
 * An app's upstream as the connector reads it: scheme and endpoint, in the one accepted spelling.
 * Parsed by hand because URL parsers turn "0x7f.1" into 127.0.0.1 before anybody can object (row 94).
 */
import { parseEndpoint } from "./allow-list.ts";
import type { Endpoint } from "./allow-list.ts";

export interface Upstream {
  readonly scheme: "http" | "https" | "tcp";
  readonly endpoint: Endpoint;
}

const UPSTREAM = /^(https?|tcp):\/\/(\[[0-9A-Fa-f:.]+\]|[^/?#@:[\]\s]+)(?::([0-9]{1,5}))?\/?$/;
const DEFAULT_PORT: Readonly<Record<string, string | undefined>> = { http: "80", https: "443" };

/** Parses "http://HOST[:PORT]", "https://…" or "tcp://HOST:PORT"; undefined for paths, credentials and odd spellings. */
export function parseUpstream(text: string): Upstream | undefined {
  const match = UPSTREAM.exec(text);
  const scheme = match?.[1];
  if (match?.[2] === undefined || (scheme !== "http" && scheme !== "https" && scheme !== "tcp")) return undefined;
  const endpoint = parseEndpoint(`${match[2]}:${match[3] ?? DEFAULT_PORT[scheme] ?? ""}`);
  return endpoint === undefined ? undefined : { scheme, endpoint };
}
