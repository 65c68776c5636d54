/** What the load generators ask for: request heads, prepared before the clock runs. Sends nothing. */

/** Body of a small answer, everywhere. */
export const SMALL_BODY_BYTES = 1024;
/** Paths that small requests rotate over. */
const PATHS_COUNT = 20;

/** Where load goes; on this machine unless it says otherwise. */
export interface Place {
  readonly port: number;
  readonly address?: string;
}

/** The place as generators are told it. */
export const placeOf = ({ port, address = "127.0.0.1" }: Place): { readonly port: number; readonly address: string } => ({ port, address });

/** Where a system takes requests, and as whom. */
export interface Target extends Place {
  readonly host: string;
  /** Cookie headers to rotate over; empty: none is sent. */
  readonly cookies: readonly string[];
  /** Other header lines of every request. */
  readonly headers?: readonly string[];
}

const headOf = (target: Target, method: string, path: string, cookie: string | undefined, more: readonly string[] = []): string =>
  [`${method} ${path} HTTP/1.1`, `Host: ${target.host}`, "Accept: */*", ...(cookie === undefined ? [] : [`Cookie: ${cookie}`]), ...(target.headers ?? []), ...more, "", ""].join("\r\n");

/** Small GETs: every cookie with every path, neighbours differing in both. */
export function smallRequests(target: Target): string[] {
  const people = target.cookies.length === 0 ? [undefined] : target.cookies;
  return Array.from({ length: PATHS_COUNT * people.length }, (_, i) => {
    const path = `/small/${(i + Math.floor(i / people.length)) % PATHS_COUNT}`;
    return headOf(target, "GET", path, people[i % people.length]);
  });
}

export const downloadRequest = (target: Target, bytes: number): string => headOf(target, "GET", `/bytes/${bytes}`, target.cookies[0]);

export const uploadRequest = (target: Target, bytes: number): string => headOf(target, "POST", "/upload", target.cookies[0], [`Content-Length: ${bytes}`, "Content-Type: application/octet-stream"]);

/** One that the origin accepts and then never reads. */
export const stalledUploadRequest = (target: Target, bytes: number): string => headOf(target, "POST", "/stall", target.cookies[0], [`Content-Length: ${bytes}`, "Content-Type: application/octet-stream"]);
