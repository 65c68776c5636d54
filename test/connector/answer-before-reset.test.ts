/**
 * An app that answers before it has read the upload and then resets the connection: an answer that
 * had arrived by then always counts, and the reset never makes a short answer look whole. The app
 * runs in a thread of its own, so that its reset is in the kernel before the connector's next step.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import { HttpExchange } from "../../connector/http-exchange.ts";
import { OriginAgent } from "../../connector/origin-agent.ts";

const BODY = "too much ".repeat(5_000);
const HEAD = "HTTP/1.1 413 Content Too Large\r\n";
const WHOLE = `${HEAD}Content-Length: ${BODY.length}\r\n\r\n${BODY}`;
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;

/** Answers the first bytes of each connection, then resets it (or ends it) and says so in shared memory. */
const APP = `
const { parentPort, workerData } = require("node:worker_threads");
const { createServer } = require("node:net");
const steps = new Int32Array(workerData.steps);
const step = (index) => { Atomics.store(steps, index, 1); Atomics.notify(steps, index); };
createServer((socket) => {
  socket.on("error", () => undefined);
  socket.once("data", () => {
    socket.pause();
    step(0);
    Atomics.wait(steps, 1, 0);
    socket.write(workerData.answer, () => {
      socket.once("close", () => step(2));
      if (workerData.ends) socket.end(() => socket.resetAndDestroy());
      else socket.resetAndDestroy();
    });
  });
}).listen(0, "127.0.0.1", function () { parentPort.postMessage(this.address().port); });
`;

const workers: Worker[] = [];
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
});

interface Outcome {
  readonly status?: number;
  readonly body: string;
  /** "end", or the failure's kind. */
  readonly ended: string;
}

/** Sends a POST whose upload goes on after the app's reset (`uploads`) or has not (the answer is read first). */
async function exchange(answer: string, { ends = false, uploads = true, pauses = false } = {}): Promise<Outcome> {
  const steps = new Int32Array(new SharedArrayBuffer(12));
  const app = new Worker(APP, { eval: true, workerData: { answer, ends, steps: steps.buffer } });
  workers.push(app);
  const [port] = (await once(app, "message")) as [number];
  const dial = async (): Promise<ReturnType<typeof connect>> => {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    return socket;
  };
  const done = Promise.withResolvers<Outcome>();
  let status: number | undefined;
  let body = "";
  let consumed = 0;
  const over = (ended: string): void => done.resolve({ ...(status !== undefined && { status }), body, ended });
  const running = new HttpExchange(
    { method: "POST", path: "/", headers: [["Host", "app"]], body: { kind: "known", bytes: 1_000_000 } },
    { agent: new OriginAgent(dial), dial, timeouts: { firstByteMs: 10_000, idleMs: 10_000 } },
    {
      head: (code) => (status = code),
      body: (bytes) => {
        body += Buffer.from(bytes).toString();
        if (pauses) setTimeout(() => running.resume(), 20);
        return !pauses;
      },
      end: () => over("end"),
      failed: ({ kind }) => over(kind),
    },
  );
  running.start();
  const upload = (bytes: number): void => running.upload(Buffer.alloc(bytes), () => (consumed += bytes));
  upload(1_000);
  await Promise.race([Atomics.waitAsync(steps, 0, 0).value, done.promise]);
  // From here to the upload this thread does nothing else: answer and reset wait in the kernel.
  Atomics.store(steps, 1, 1);
  Atomics.notify(steps, 1);
  Atomics.wait(steps, 2, 0);
  if (uploads) for (let i = 0; i < 4; i++) upload(100_000);
  const outcome = await done.promise;
  running.destroy();
  // Its last bytes are given back once the socket is gone.
  if (uploads) await expect.poll(() => consumed).toBe(401_000);
  return outcome;
}

describe.each([{ uploads: true }, { uploads: false }])("an app that answers early and resets the connection ($uploads: the upload goes on)", ({ uploads }) => {
  it.each([
    ["a length", WHOLE, 413, BODY],
    ["chunks", CHUNKED, 413, BODY],
    ["a length of nothing", `${HEAD}Content-Length: 0\r\n\r\n`, 413, ""],
    ["a status that has no body", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""],
  ])("an answer with %s that arrived before the reset is the answer", async (_title, answer, status, body) => {
    expect(await exchange(answer, { uploads })).toEqual({ status, body, ended: "end" });
  });

  it("and so it is for a reader that pauses", async () => expect(await exchange(WHOLE, { uploads, pauses: true })).toEqual({ status: 413, body: BODY, ended: "end" }));

  it.each([
    ["a length", WHOLE.slice(0, -10)],
    ["chunks", CHUNKED.slice(0, -2)],
    ["neither", `${HEAD}\r\n${BODY}`],
  ])("an answer with %s whose end did not arrive is broken, never short", async (_title, answer) => {
    expect(await exchange(answer, { uploads })).toMatchObject({ status: 413, ended: "closed_early" });
  });

  it.each([
    ["half a head", HEAD],
    ["nothing", ""],
  ])("%s is no answer", async (_title, answer) => {
    expect(await exchange(answer, { uploads })).toEqual({ body: "", ended: "closed_early" });
  });
});

describe("an app that ends its answer and then resets", () => {
  it("an answer with a length is the answer", async () => expect(await exchange(WHOLE, { ends: true })).toEqual({ status: 413, body: BODY, ended: "end" }));
  it("an answer that only its connection's end ends is broken once a write failed: nobody can tell that end from the reset", async () =>
    expect(await exchange(`${HEAD}\r\n${BODY}`, { ends: true })).toMatchObject({ ended: "closed_early" }));
});
