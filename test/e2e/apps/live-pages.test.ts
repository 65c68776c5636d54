/**
 * A web app from npm that lives on WebSockets (vite's development server), unchanged, behind
 * Postern, in a real browser: the page signs in, its socket stays open, and a changed file
 * reaches the page through it; a revocation closes the socket and the page is out.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loopbackFetch } from "../../../start/loopback-http.ts";
import { plainEnvironment } from "../../../start/processes.ts";
import { openStage, type Stage, visitAs } from "../browser/stage.ts";
import { freePort } from "../../start/free-port.ts";
import { temporaryState, until } from "../../start/running-stack.ts";
import { oneAppDocument } from "./one-app.ts";

const state = temporaryState();
const site = join(state.path, "site");
let stage: Stage;

const words = (text: string): void => writeFileSync(join(site, "words.js"), `export const words = ${JSON.stringify(text)};\n`);

beforeAll(async () => {
  const upstream = await freePort();
  mkdirSync(site);
  writeFileSync(join(site, "index.html"), `<!doctype html><title>live</title><p id="words"></p><script type="module" src="/main.js"></script>`);
  // The page takes the new words without a reload: the counter of loads must stay at one.
  writeFileSync(
    join(site, "main.js"),
    `import { words } from "./words.js";
const show = (text) => { document.getElementById("words").textContent = text; };
window.loads = (window.loads ?? 0) + 1;
show(words);
import.meta.hot.accept("./words.js", (next) => show(next.words));
`,
  );
  words("one");
  stage = await openStage({ documentFile: oneAppDocument(state.path, { id: "live", port: upstream, when: "{ group: [staff] }" }) });
  const vite = dirname(createRequire(import.meta.url).resolve("vite/package.json"));
  stage.stack.processes.start({ name: "vite", argv: [process.execPath, join(vite, "bin/vite.js"), site, "--host", "127.0.0.1", "--port", String(upstream), "--strictPort", "--logLevel", "error"], env: plainEnvironment(), cwd: site });
  await until(async () => (await loopbackFetch(`http://127.0.0.1:${upstream}/`, { headers: { accept: "text/html" } }).catch(() => undefined))?.status === 200, "vite answers", 20_000);
}, 60_000);
afterAll(async () => {
  await stage.close();
  state.remove();
});

describe("an app that lives on WebSockets behind Postern", () => {
  it("changes its page through the socket, in a browser, until the user is revoked", async () => {
    const context = await stage.profile();
    const page = await context.newPage();
    const sockets: { url: string; heard: boolean; closed: boolean }[] = [];
    page.on("websocket", (socket) => {
      const one = { url: socket.url(), heard: false, closed: false };
      sockets.push(one);
      // The server greets whom it will tell of changes; one made before that it tells nobody.
      socket.once("framereceived", () => (one.heard = true));
      socket.on("close", () => (one.closed = true));
    });
    await visitAs(page, "alice", stage.at("live"));
    await page.locator("#words", { hasText: "one" }).waitFor();
    await until(() => sockets.some((socket) => socket.heard && socket.url.startsWith(stage.at("live").replace("http:", "ws:"))), "the page's socket is greeted");
    words("two");
    await page.locator("#words", { hasText: "two" }).waitFor();
    expect(await page.evaluate<number>("window.loads")).toBe(1);
    expect(sockets.filter((socket) => !socket.closed)).toHaveLength(1);

    const { answer } = await stage.operate<{ found: number; complete: boolean }>("/revoke", { kind: "user", id: "alice@example.com" });
    expect(answer).toMatchObject({ complete: true });
    expect(answer.found).toBeGreaterThanOrEqual(1);
    await until(() => sockets.every((socket) => socket.closed), "the socket is closed", 5_000);
    words("three");
    const after = await context.request.get(`http://127.0.0.1:${stage.stack.port}/words.js`, { headers: { host: new URL(stage.at("live")).host } });
    expect(after.status()).toBe(401);
    expect(await page.locator("#words").innerText()).not.toBe("three");
    await context.close();
  });
});
