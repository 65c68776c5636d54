/** What a connector's socket hands the frames of a stream to. */
import type { FrameHeader } from "../../protocol/frames.ts";
import type { FrameSink } from "../../protocol/splice.ts";

/** Who a stream's frames go to: one of the relays. */
export interface StreamSink {
  data(bytes: Uint8Array): void;
  end(): void;
  /** `forced`: to make room, whatever of it is here already. */
  reset(forced?: boolean): void;
  writable(): void;
}

/** A stream whose frames are not the mux's: they go on to an agent's socket (spliced-stream.ts). */
export interface SplicedSink extends StreamSink {
  /** Where the frame goes, once it is rewritten; undefined when it goes nowhere now. */
  fromConnector(header: FrameHeader, message: Uint8Array, at: number): FrameSink | undefined;
}
