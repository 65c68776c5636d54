/**
 * A browser of the simplest kind for sign-in tests: follows redirects and immediate refreshes,
 * keeps host-only cookies, sends forms. Runs no script.
 */
import { type LoopbackAnswer, loopbackFetch } from "../../start/loopback-http.ts";

/** More redirects than this are a loop. */
const MAX_STEPS_COUNT = 16;

/** Where following ended: at an address that was not to be opened, or at a page. */
export interface Arrival {
  readonly stopped?: URL;
  readonly page?: LoopbackAnswer;
  /** The address of the page, or of what led to `stopped`. */
  readonly at: string;
}

const unescapeHtml = (text: string): string => text.replaceAll("&quot;", '"').replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

/** Where an answer sends a browser without JavaScript on to, if anywhere. */
function nextAddress(answer: LoopbackAnswer): string | undefined {
  const location = answer.headers["location"];
  if (typeof location === "string") return location;
  const refresh = /<meta http-equiv="refresh" content="0; ?url=([^"]+)"/i.exec(answer.text)?.[1];
  return refresh === undefined ? undefined : unescapeHtml(refresh);
}

export class FormBrowser {
  /** By host: a cookie of one host is never sent to another. */
  readonly #cookies = new Map<string, Map<string, string>>();
  readonly #more: Readonly<Record<string, string>>;

  /** `more`: headers that it sends with everything. */
  constructor(more: Readonly<Record<string, string>> = {}) {
    this.#more = more;
  }

  async get(url: string): Promise<LoopbackAnswer> {
    return this.#send(url, "GET");
  }

  async submit(url: string, fields: Readonly<Record<string, string>>): Promise<LoopbackAnswer> {
    return this.#send(url, "POST", new URLSearchParams(fields).toString());
  }

  /** The value of the Cookie header that this host would get. */
  cookieHeader(url: string): string {
    return [...(this.#cookies.get(new URL(url).hostname) ?? [])].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  /** Goes on until an address starts with `stop` (it is not opened) or a page is shown. */
  async follow(first: LoopbackAnswer, base: string, stop?: string): Promise<Arrival> {
    let answer = first;
    let at = base;
    for (let step = 0; step < MAX_STEPS_COUNT; step++) {
      const address = nextAddress(answer);
      if (address === undefined) return { page: answer, at };
      const next = new URL(address, at);
      if (stop !== undefined && next.href.startsWith(stop)) return { stopped: next, at };
      at = next.href;
      answer = await this.get(at);
    }
    throw new Error("too many redirects");
  }

  /** Opens an address and follows. */
  async open(url: string): Promise<Arrival> {
    return this.follow(await this.get(url), url);
  }

  async #send(url: string, method: string, body?: string): Promise<LoopbackAnswer> {
    const headers: Record<string, string> = { ...this.#more, accept: "text/html,*/*", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
    const cookies = this.cookieHeader(url);
    if (cookies !== "") headers["cookie"] = cookies;
    if (body !== undefined) Object.assign(headers, { "content-type": "application/x-www-form-urlencoded", origin: new URL(url).origin });
    const answer = await loopbackFetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
    this.#keep(new URL(url).hostname, [answer.headers["set-cookie"] ?? []].flat());
    return answer;
  }

  #keep(host: string, lines: readonly string[]): void {
    const jar = this.#cookies.get(host) ?? new Map<string, string>();
    this.#cookies.set(host, jar);
    for (const line of lines) {
      const [pair = "", ...attributes] = line.split(";");
      const cut = pair.indexOf("=");
      const name = pair.slice(0, cut).trim();
      const isGone = attributes.some((attribute) => /^\s*max-age=(?:0|-\d+)\s*$/i.test(attribute) || /^\s*expires=.*\b19\d\d\b/i.test(attribute));
      if (isGone) jar.delete(name);
      else jar.set(name, pair.slice(cut + 1));
    }
  }
}
