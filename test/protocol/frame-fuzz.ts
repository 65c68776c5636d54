/**
 * Two muxes, a link that duplicates, swaps, drops, cuts and flips, and peers that forge frames; the
 * model says what must hold whatever they do (F8). Played by fuzz.test.ts and by `npm run soak -- fuzz`;
 * what fails is shrunk and goes into corpus/. Not a test.
 */
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { encodeFrame } from "../../protocol/frames.ts";
import type { MuxEvent } from "../../protocol/mux-events.ts";
import { Mux } from "../../protocol/mux.ts";

type Side = "edge" | "connector";

/** What a link does to one of the messages that wait on it. `at` picks the message, `where` the byte of its first header. */
export interface Damage {
  readonly kind: "duplicate" | "swap" | "drop" | "cut" | "flip";
  readonly at: number;
  readonly where: number;
}

export type Step =
  | { readonly do: "open"; readonly bytes: number }
  | { readonly do: "write" | "end" | "reset"; readonly side: Side; readonly stream: number; readonly bytes: number }
  | { readonly do: "consume"; readonly side: Side; readonly share: number }
  | { readonly do: "deliver"; readonly from: Side; readonly damage?: Damage }
  | { readonly do: "forge"; readonly from: Side; readonly type: number; readonly flags: number; readonly stream: number; readonly length: number }
  | { readonly do: "garbage"; readonly from: Side; readonly bytes: readonly number[] };

export type Script = readonly Step[];

/** Small, so that caps are met. */
const MAX_BUFFERED_BYTES = 600_000;
const OPTIONS = { maxStreams: 12, maxBufferedBytes: MAX_BUFFERED_BYTES, maxBacklog: 8 };
/** Bytes of a header that a link may flip: version, type, flags and length. An id or a payload that TLS let through changed is another's by then. */
const FLIPPABLE = [0, 1, 2, 3, 8, 9, 10, 11];
/** From here on they are the length: then the next frame's header may count as payload, until the message is found malformed. */
const LENGTH_AT = 4;
const flipsLength = (one: Step): boolean => one.do === "deliver" && one.damage?.kind === "flip" && one.damage.where % FLIPPABLE.length >= LENGTH_AT;

/** Every byte of a stream says whose it is, and none looks like a frame's version. */
const tagOf = (stream: number): number => 0x80 | (stream % 0x7f);
const payload = (stream: number, size: number): Uint8Array => new Uint8Array(size).fill(tagOf(stream));

const side: fc.Arbitrary<Side> = fc.constantFrom("edge", "connector");
const stream = fc.nat({ max: 14 });
const damage = fc.record({ kind: fc.constantFrom("duplicate", "swap", "drop", "cut", "flip"), at: fc.nat({ max: 8 }), where: fc.nat({ max: 70_000 }) }) as fc.Arbitrary<Damage>;
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("open" as const), bytes: fc.nat({ max: 1_000 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("write" as const, "write" as const, "end" as const, "reset" as const), side, stream, bytes: fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 300_000 })) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("consume" as const), side, share: fc.double({ min: 0, max: 1, noNaN: true }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("deliver" as const), from: side }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("deliver" as const), from: side, damage }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("forge" as const), from: side, type: fc.nat({ max: 5 }), flags: fc.nat({ max: 31 }), stream, length: fc.oneof(fc.nat({ max: 5_000 }), fc.constantFrom(0, 262_144, 262_145, 2 ** 31, 2 ** 32 - 1)) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("garbage" as const), from: side, bytes: fc.array(fc.nat({ max: 255 }), { maxLength: 40 }) }) },
);
export const scripts: fc.Arbitrary<Script> = fc.array(step, { minLength: 1, maxLength: 60, size: "max" });

/** One end: its mux, and what its application holds of each stream. */
class End {
  readonly mux: Mux;
  readonly held = new Map<number, number>();
  closed = false;

  readonly #readsBytes: boolean;

  constructor(role: Side, now: () => number, readsBytes: boolean) {
    this.#readsBytes = readsBytes;
    this.mux = new Mux({ role, now, ...OPTIONS, accept: role === "connector" });
  }

  take(events: readonly MuxEvent[]): void {
    if (this.closed && events.length > 0) throw new Error("events after the end");
    for (const event of events) {
      if (event.type === "data") {
        if (this.#readsBytes && event.bytes.some((byte) => byte !== tagOf(event.id))) throw new Error(`bytes of another stream on ${event.id}`);
        this.held.set(event.id, (this.held.get(event.id) ?? 0) + event.bytes.length);
      } else if (event.type === "reset") this.held.delete(event.id);
      else if (event.type === "fatal") {
        if (event.code < 4400 || event.code > 4499 || event.reason === "") throw new Error(`closed with ${event.code}`);
        this.closed = true;
        this.held.clear();
      }
    }
    if (this.mux.bufferedBytes > MAX_BUFFERED_BYTES) throw new Error("more is held than the cap");
    if (this.mux.streamCount > OPTIONS.maxStreams) throw new Error("more streams than the cap");
  }

  consume(share: number): void {
    for (const [id, bytes] of this.held) {
      const part = share >= 1 ? bytes : Math.floor(bytes * share);
      this.mux.consumed(id, part);
      if (part === bytes) this.held.delete(id);
      else this.held.set(id, bytes - part);
    }
  }
}

function damaged(messages: Uint8Array[], { kind, at, where }: Damage): Uint8Array[] {
  const index = messages.length === 0 ? 0 : at % messages.length;
  const message = messages[index];
  if (message === undefined) return messages;
  const out = [...messages];
  if (kind === "duplicate") out.splice(index, 0, message);
  else if (kind === "drop") out.splice(index, 1);
  else if (kind === "swap") out.push(...out.splice(index, 1));
  else if (kind === "cut") out[index] = message.subarray(0, where % message.length);
  else {
    const byte = FLIPPABLE[where % FLIPPABLE.length] ?? 0;
    const flipped = message.slice();
    flipped[byte] = (flipped[byte] ?? 0) ^ (1 << (at % 8));
    out[index] = flipped;
  }
  return out;
}

/** Plays a script; throws an Error that says what did not hold. */
export function play(script: Script): void {
  let now = 0;
  const clock = (): number => now;
  const readsBytes = !script.some(flipsLength);
  const ends = { edge: new End("edge", clock, readsBytes), connector: new End("connector", clock, readsBytes) };
  const other = (from: Side): End => (from === "edge" ? ends.connector : ends.edge);
  const opened: number[] = [];
  const pick = (number: number): number => opened[number % Math.max(1, opened.length)] ?? 2 + 2 * number;
  const deliver = (from: Side, damage?: Damage): void => {
    // Copied: the views belong to the mux until its next write.
    const messages = ends[from].mux.takeOutput().map((message) => message.slice());
    for (const message of damage === undefined ? messages : damaged(messages, damage)) other(from).take(other(from).mux.receive(message));
  };
  for (const one of script) {
    now += 10;
    switch (one.do) {
      case "open": {
        const id = ends.edge.mux.open();
        if (!id.ok) break;
        opened.push(id.value);
        ends.edge.mux.write(id.value, payload(id.value, one.bytes));
        break;
      }
      case "write":
        ends[one.side].mux.write(pick(one.stream), payload(pick(one.stream), one.bytes));
        break;
      case "end":
        ends[one.side].mux.end(pick(one.stream));
        break;
      case "reset":
        ends[one.side].mux.reset(pick(one.stream));
        ends[one.side].held.delete(pick(one.stream));
        break;
      case "consume":
        ends[one.side].consume(one.share);
        break;
      case "deliver":
        deliver(one.from, one.damage);
        break;
      case "forge": {
        const id = pick(one.stream);
        const body = one.type === 0 ? payload(id, one.length % 60_000) : undefined;
        other(one.from).take(other(one.from).mux.receive(encodeFrame(one.type, one.flags, id, one.length, body)));
        break;
      }
      case "garbage":
        other(one.from).take(other(one.from).mux.receive(Uint8Array.from(one.bytes)));
        break;
      default:
        one satisfies never;
    }
  }
  // Everything is taken, everything is let go: nothing is left behind, whatever happened.
  for (const end of Object.values(ends)) {
    end.consume(1);
    for (const id of [...end.mux.streams()]) end.mux.reset(id);
    end.mux.takeOutput();
    if (end.mux.bufferedBytes !== 0 || end.mux.streamCount !== 0) throw new Error(`${end.mux.bufferedBytes} bytes and ${end.mux.streamCount} streams are left`);
    if (end.closed && end.mux.receive(encodeFrame(2, 1, 0, 1)).length > 0) throw new Error("it reads on after its end");
  }
}

/** The scripts that once failed, each with the name of its file. */
export function corpus(): readonly { readonly name: string; readonly script: Script }[] {
  const folder = new URL("./corpus/", import.meta.url);
  return readdirSync(folder).filter((name) => name.endsWith(".json")).sort().map((name) => ({ name, script: JSON.parse(readFileSync(new URL(name, folder), "utf8")) as Script }));
}

export interface FuzzOutcome {
  readonly runs: number;
  /** The shortest script that fails, and why. */
  readonly failure?: { readonly script: Script; readonly why: string };
}

/** Plays `runs` scripts of a seed, or as many as fit into the time. */
export function fuzz(seed: number, runs: number, timeMs: number): FuzzOutcome {
  const { numRuns, counterexample, errorInstance } = fc.check(fc.property(scripts, (script) => play(script)), { seed, numRuns: runs, interruptAfterTimeLimit: timeMs, markInterruptAsFailure: false });
  if (counterexample === null || counterexample === undefined) return { runs: numRuns };
  return { runs: numRuns, failure: { script: counterexample[0], why: errorInstance instanceof Error ? errorInstance.message : "it failed" } };
}
