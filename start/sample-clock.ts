/**
 * Sample app: an event stream that ticks once a second, each tick stamped with the monotonic
 * clock (which the machine's processes share) and the wall clock, and a page that shows it.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { page } from "./demo-pages.ts";

const TICK_MS = 1_000;

const SCRIPT = `
const out = document.querySelector("output"), state = document.querySelector("[role=status]");
const source = new EventSource("/events");
source.onopen = () => { state.textContent = "running"; };
source.onmessage = (event) => { const tick = JSON.parse(event.data); out.textContent = tick.wall + " (tick " + tick.n + ")"; };
source.onerror = () => { state.textContent = "cut: the stream has ended"; };`;

const PAGE = page("Clock", `<h1>Clock</h1><p>An event stream. Revoke the session and watch it end.</p><p><output>…</output></p><p role="status">connecting</p><script>${SCRIPT}</script>`);

/** Serves the page at any path but /events, which is the stream. */
export function clockApp(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  if ((request.url ?? "/").split("?")[0] !== "/events") {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" }).end(PAGE);
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  let n = 0;
  const tick = (): void => {
    n += 1;
    const stamp = { n, monotonic_ns: process.hrtime.bigint().toString(), wall: new Date(Date.now()).toISOString() };
    response.write(`id: ${n}\ndata: ${JSON.stringify(stamp)}\n\n`);
  };
  tick();
  const timer = setInterval(tick, TICK_MS);
  response.on("close", () => clearInterval(timer));
  response.on("error", () => clearInterval(timer));
}
