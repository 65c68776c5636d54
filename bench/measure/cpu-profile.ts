/** A V8 CPU profile of a running process, over its inspector, and where its time went by function. */
import { basename } from "node:path";
import { WebSocket } from "ws";

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}
export interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame; readonly children?: readonly number[] }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const SAMPLE_US = 250;
/** Longest wait for an inspector to listen, and between looks. */
const LISTEN_MS = 5_000;
const LOOK_MS = 100;

/** The debugger addresses that an inspector on this port offers. */
export async function inspected(port: number): Promise<string[]> {
  const until = performance.now() + LISTEN_MS;
  for (;;) {
    const list = await fetch(`http://127.0.0.1:${port}/json`).then((answer) => answer.json() as Promise<{ webSocketDebuggerUrl?: string }[]>, () => undefined);
    if (list !== undefined) return list.flatMap((one) => one.webSocketDebuggerUrl ?? []);
    if (performance.now() > until) throw new Error(`no inspector listens on port ${port}`);
    await new Promise((wake) => setTimeout(wake, LOOK_MS));
  }
}

/** Profiles while `work` runs. */
export async function profiled(address: string, work: () => Promise<unknown>): Promise<CpuProfile> {
  const socket = new WebSocket(address, { perMessageDeflate: false });
  const waiting = new Map<number, (result: unknown) => void>();
  let next = 1;
  socket.on("message", (data: Buffer) => {
    const message = JSON.parse(data.toString()) as { id?: number; result?: unknown };
    if (message.id !== undefined) waiting.get(message.id)?.(message.result);
  });
  await new Promise((opened, failed) => socket.once("open", opened).once("error", failed));
  const call = (method: string, params: object = {}): Promise<unknown> => {
    const id = next++;
    socket.send(JSON.stringify({ id, method, params }));
    return new Promise((done) => waiting.set(id, done));
  };
  await call("Profiler.enable");
  await call("Profiler.setSamplingInterval", { interval: SAMPLE_US });
  await call("Profiler.start");
  await work();
  const { profile } = (await call("Profiler.stop")) as { profile: CpuProfile };
  socket.terminate();
  return profile;
}

export interface FunctionTime {
  readonly name: string;
  readonly selfUs: number;
  /** With everything that it called. */
  readonly totalUs: number;
}

/** Time by function, most of its own first. */
export function timeByFunction(profile: CpuProfile): FunctionTime[] {
  const self = new Map<number, number>();
  for (const [i, id] of profile.samples.entries()) self.set(id, (self.get(id) ?? 0) + (profile.timeDeltas[i] ?? 0));
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const nameOf = (frame: CallFrame): string => `${frame.functionName || "(anonymous)"} ${basename(frame.url)}${frame.url === "" ? "" : `:${frame.lineNumber + 1}`}`.trim();
  const found = new Map<string, { self: number; total: number }>();
  const walk = (id: number, above: ReadonlySet<string>): number => {
    const node = nodes.get(id);
    if (node === undefined) return 0;
    const name = nameOf(node.callFrame);
    const inside = new Set(above).add(name);
    const own = self.get(id) ?? 0;
    const total = (node.children ?? []).reduce((sum, child) => sum + walk(child, inside), own);
    const entry = found.get(name) ?? { self: 0, total: 0 };
    entry.self += own;
    if (!above.has(name)) entry.total += total;
    found.set(name, entry);
    return total;
  };
  const root = profile.nodes[0];
  if (root !== undefined) walk(root.id, new Set());
  return [...found].map(([name, { self: selfUs, total: totalUs }]) => ({ name, selfUs, totalUs })).sort((a, b) => b.selfUs - a.selfUs);
}
