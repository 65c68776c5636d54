/** Small requests and downloads: each is answered whole and with its own bytes, or it fails and says so; never a short success. */
import { Agent, request } from "node:http";
import type { Load, LoadGround } from "../load.ts";
import { NamedLines } from "../named-lines.ts";
import { Failures, pause } from "../soak.ts";

const SMALL_LOOPS_COUNT = 4;
const DOWNLOAD_LOOPS_COUNT = 2;
const DOWNLOAD_BYTES = 3_000_000;
/** An edge that is away is not asked in a tight loop. */
const AFTER_FAILURE_MS = 100;
/** Nothing that a client waits for is silent longer: an answer, an error, or the end of the connection. */
const MAX_SILENCE_MS = 90_000;

export async function httpLoad({ site }: LoadGround): Promise<Load> {
  const failures = new Failures();
  const counts = { answered: 0, refused: 0, broken: 0, downloads: 0, downloads_broken: 0 };
  const agent = new Agent({ keepAlive: true });
  let isOver = false;
  let number = 0;

  const ask = (path: string, name: string, bytes: number | undefined): Promise<"whole" | "refused" | "broken"> =>
    new Promise((done) => {
      const headers = { host: site.host, authorization: `Bearer ${site.tokens[number % site.tokens.length]}` };
      const asked = request({ host: "127.0.0.1", port: site.stack.port, path, headers, agent }, (answer) => {
        if (answer.statusCode !== 200) {
          answer.resume();
          if (answer.statusCode !== 502 && answer.statusCode !== 503) failures.add(`${path}: ${answer.statusCode}`);
          return void answer.once("close", () => done("refused"));
        }
        const lines = bytes === undefined ? undefined : new NamedLines(name, bytes);
        let text = "";
        answer.on("data", (chunk: Buffer) => {
          if (lines === undefined) text += chunk.toString();
          else lines.feed(chunk);
        });
        answer.on("error", () => undefined);
        answer.once("close", () => {
          if (lines?.fault !== undefined) failures.add(`${path}: ${lines.fault}`);
          if (!answer.complete) return done("broken");
          if (lines === undefined ? text !== path : lines.received !== bytes) failures.add(`${path}: a short or wrong success, ${lines?.received ?? text}`);
          done("whole");
        });
      });
      asked.setTimeout(MAX_SILENCE_MS, () => {
        failures.add(`${path}: silent for ${MAX_SILENCE_MS} ms`);
        asked.destroy();
      });
      asked.on("error", () => done("broken"));
      asked.end();
    });

  const small = async (): Promise<void> => {
    while (!isOver) {
      const outcome = await ask(`/small/${number++}`, "", undefined);
      if (outcome === "whole") counts.answered++;
      else counts[outcome]++;
      if (outcome !== "whole") await pause(AFTER_FAILURE_MS);
    }
  };
  const download = async (): Promise<void> => {
    while (!isOver) {
      const name = `d${number++}`;
      const outcome = await ask(`/bytes/${DOWNLOAD_BYTES}?name=${name}`, name, DOWNLOAD_BYTES);
      if (outcome === "whole") counts.downloads++;
      else counts.downloads_broken++;
      await pause(AFTER_FAILURE_MS);
    }
  };
  const loops = [...Array.from({ length: SMALL_LOOPS_COUNT }, small), ...Array.from({ length: DOWNLOAD_LOOPS_COUNT }, download)];
  return {
    finished: () => true,
    stop: async () => {
      isOver = true;
      await Promise.all(loops);
      agent.destroy();
      if (counts.answered === 0 || counts.downloads === 0) failures.add("nothing was ever answered");
      return { figures: counts, failures: failures.lines };
    },
  };
}
