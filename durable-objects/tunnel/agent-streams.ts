/**
 * The streams of an agent's socket as its attachment holds them: 44 bytes each, so that 256 fit
 * beside the rest into 16 KiB (M13). Decisions are not kept: after a wake the next byte waits for
 * a new one anyway (M4).
 */
import type { AppId } from "../../core/ids.ts";
import { INITIAL_WINDOW_BYTES } from "../../protocol/frames.ts";
import { newSplice, type Splice } from "../../protocol/splice.ts";
import type { AgentAttachment } from "./attachments.ts";

export interface KeptStream {
  /** Its id on the agent's socket, and on the connector's. */
  readonly id: number;
  readonly number: number;
  readonly app: AppId;
  readonly link: string;
  readonly splice: Splice;
  readonly openedAt: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly bytesTold: number;
}

type Packed = Pick<AgentAttachment, "apps" | "links" | "streams">;

const FIELDS_COUNT = 11;
export const KEPT_STREAM_BYTES = FIELDS_COUNT * 4;
const HIGH = 2 ** 32;
/** Credit is at most 2^20; what is left of its field is for the stream-open's bytes. */
const CREDIT_BITS = 21;
const MAX_SWALLOW = 2 ** (32 - CREDIT_BITS) - 1;

export function packStreams(all: readonly KeptStream[]): Packed {
  const apps: AppId[] = [];
  const links: string[] = [];
  const index = <T>(names: T[], name: T): number => (names.includes(name) ? names.indexOf(name) : names.push(name) - 1);
  const streams = new Uint32Array(all.length * FIELDS_COUNT);
  for (const [i, { id, number, app, link, splice, openedAt, bytesIn, bytesOut, bytesTold }] of all.entries()) {
    const { up, down, begun, swallow } = splice;
    const flags = (up.ended ? 1 : 0) | (down.ended ? 2 : 0) | (begun ? 4 : 0);
    // The array takes each number modulo 2^32.
    streams.set(
      [
        id,
        number,
        up.credit + Math.min(swallow, MAX_SWALLOW) * 2 ** CREDIT_BITS,
        down.credit,
        flags | (index(apps, app) << 8) | (index(links, link) << 16),
        openedAt / 1000,
        bytesIn / HIGH,
        bytesIn,
        bytesOut / HIGH,
        bytesOut,
        Math.min(HIGH - 1, bytesIn + bytesOut - bytesTold),
      ],
      i * FIELDS_COUNT,
    );
  }
  return { apps, links, streams };
}

export function unpackStreams({ apps, links, streams }: Packed): KeptStream[] {
  return Array.from({ length: streams.length / FIELDS_COUNT }, (_, i) => {
    const field = (k: number): number => streams[i * FIELDS_COUNT + k] ?? 0;
    const splice = newSplice(field(2) >>> CREDIT_BITS);
    splice.up.credit = field(2) % 2 ** CREDIT_BITS;
    splice.down.credit = field(3);
    // As far as is known: what was out before may have come since.
    for (const half of [splice.up, splice.down]) half.sent = Math.max(0, INITIAL_WINDOW_BYTES - half.credit);
    splice.up.ended = (field(4) & 1) !== 0;
    splice.down.ended = (field(4) & 2) !== 0;
    splice.begun = (field(4) & 4) !== 0;
    const bytesIn = field(6) * HIGH + field(7);
    const bytesOut = field(8) * HIGH + field(9);
    return {
      id: field(0),
      number: field(1),
      app: apps[(field(4) >>> 8) & 255] as AppId,
      link: links[(field(4) >>> 16) & 255] ?? "",
      splice,
      openedAt: field(5) * 1000,
      bytesIn,
      bytesOut,
      bytesTold: bytesIn + bytesOut - field(10),
    };
  });
}
