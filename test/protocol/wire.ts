/**
 * What the tests of the wire share: bytes, frames as read off the output, and a pair of muxes
 * with a link between them that delivers when it is told to. Not a test.
 */
import { concat } from "../../core/bytes.ts";
import { decodeFrames } from "../../protocol/frames.ts";
import type { Frame } from "../../protocol/frames.ts";
import type { MuxEvent } from "../../protocol/mux-events.ts";
import type { MuxOptions } from "../../protocol/mux-options.ts";
import { Mux } from "../../protocol/mux.ts";

export const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
export const join = (parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => concat(parts);

/** All frames of some messages; throws if one is malformed. */
export function reads(messages: readonly Uint8Array[]): Frame[] {
  return messages.flatMap((message) => {
    const frames = decodeFrames(message);
    if (!frames.ok) throw new Error(`malformed output: ${frames.error}`);
    return frames.value;
  });
}

/** A short form of a frame for comparing: "data SYN 2 hello" or "update ACK 2 +0". */
export function show(frame: Frame): string {
  const type = ["data", "update", "ping", "goaway"][frame.type] ?? "?";
  const flags = ["SYN", "ACK", "FIN", "RST"].filter((_name, bit) => (frame.flags & (1 << bit)) !== 0).join("|");
  const tail = frame.type === 0 ? (frame.length > 20 ? `${frame.length} bytes` : new TextDecoder().decode(frame.payload)) : `+${frame.length}`;
  return [type, flags, frame.streamId, tail].filter((part) => part !== "").join(" ");
}

export function opened(mux: Mux): number {
  const id = mux.open();
  if (!id.ok) throw new Error(id.error);
  return id.value;
}

export interface Pair {
  readonly edge: Mux;
  readonly connector: Mux;
}

export function pair(options: Partial<MuxOptions> = {}): Pair {
  const now = (): number => 0;
  return { edge: new Mux({ now, ...options, role: "edge" }), connector: new Mux({ now, ...options, role: "connector" }) };
}

/** Delivers all output of one to the other and returns what that made of it. */
export function deliver(from: Mux, to: Mux): MuxEvent[] {
  return from.takeOutput().flatMap((message) => to.receive(message.slice()));
}
