/**
 * How long two hosts take to answer the same navigation, told apart from what else the machine
 * does: requests in turn on one connection, the median of the medians of ten slices.
 */
import { Agent, request } from "node:http";

const ROUNDS_COUNT = 500;
const WARM_UP_COUNT = 30;
/** One slow second of the machine then spoils one slice of ten. */
const SLICES_COUNT = 10;

interface Asked {
  readonly host: string;
  readonly cookie: string;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const medianOfMedians = (values: readonly number[]): number => {
  const size = Math.ceil(values.length / SLICES_COUNT);
  return median(Array.from({ length: SLICES_COUNT }, (_, i) => median(values.slice(i * size, (i + 1) * size))));
};

/** Milliseconds until the whole blank answer was there; rejects on any other. */
function wait(agent: Agent, port: number, { host, cookie }: Asked): Promise<number> {
  const begun = process.hrtime.bigint();
  return new Promise((resolve, reject) => {
    const call = request({ agent, host: "127.0.0.1", port, path: "/", headers: { host, cookie, accept: "text/html", "sec-fetch-mode": "navigate" } }, (answer) => {
      if (answer.statusCode !== 404) reject(new Error(`${host} answered ${answer.statusCode}`));
      answer.resume();
      answer.on("end", () => resolve(Number(process.hrtime.bigint() - begun) / 1e6));
    });
    call.on("error", reject);
    call.end();
  });
}

/** The medians of both, in milliseconds. */
export async function interleavedMedians(port: number, asked: readonly Asked[]): Promise<readonly [number, number]> {
  const [first, second] = asked;
  if (first === undefined || second === undefined) throw new Error("two are needed");
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const waits: [number[], number[]] = [[], []];
  try {
    for (let round = -WARM_UP_COUNT; round < ROUNDS_COUNT; round++) {
      // Whoever is second in one round is first in the next.
      const order = [[0, first], [1, second]] as const;
      for (const [which, one] of round % 2 === 0 ? order : order.toReversed()) {
        const ms = await wait(agent, port, one);
        if (round >= 0) waits[which].push(ms);
      }
    }
  } finally {
    agent.destroy();
  }
  return [medianOfMedians(waits[0]), medianOfMedians(waits[1])];
}
