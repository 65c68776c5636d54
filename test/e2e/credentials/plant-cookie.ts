/**
 * Puts a cookie into a browser the way a hostile neighbour on the machine can: cookies know no
 * ports (RFC 6265 §8.5), so another server under the same name sets it. Not for our own cookies.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { FormBrowser } from "../../start/form-browser.ts";

/** After this the browser sends `pair` ("name=value") to the host of `url`. */
export async function plantCookie(browser: FormBrowser, url: string, pair: string): Promise<void> {
  const server = createServer((_request, response) => {
    response.writeHead(204, { "set-cookie": `${pair}; Path=/` });
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await new Promise((up) => server.once("listening", up));
  const neighbour = new URL(url);
  neighbour.port = String((server.address() as AddressInfo).port);
  await browser.get(neighbour.href);
  server.closeAllConnections();
  await new Promise((down) => server.close(down));
}
