/** The first frame on a secure stream, which says what the stream is, and whatever came with it. */
import type { Duplex } from "node:stream";
import { SECURE_MS } from "../protocol/deadlines.ts";
import { ResumeReader } from "../protocol/resume-frames.ts";
import type { ResumeFrame } from "../protocol/resume-frames.ts";

export interface FirstFrame {
  readonly frame: ResumeFrame;
  /** Read already, behind the first. */
  readonly early: readonly ResumeFrame[];
  readonly reader: ResumeReader;
}

/** Waits for it; leaves `secure` paused. Undefined if none comes in `ms`, the stream ends, or it breaks the rules. */
export function firstFrame(secure: Duplex, ms: number = SECURE_MS): Promise<FirstFrame | undefined> {
  const reader = new ResumeReader();
  return new Promise((done) => {
    const settle = (found: FirstFrame | undefined): void => {
      clearTimeout(timer);
      secure.pause();
      secure.off("data", take);
      secure.off("close", missed);
      secure.off("end", missed);
      done(found);
    };
    const missed = (): void => settle(undefined);
    const take = (bytes: Uint8Array): void => {
      const frames = reader.feed(bytes);
      if (frames === undefined) return missed();
      const [frame, ...early] = frames;
      if (frame !== undefined) settle({ frame, early, reader });
    };
    const timer = setTimeout(missed, ms);
    secure.on("data", take);
    secure.on("close", missed);
    secure.on("end", missed);
    if (secure.destroyed) missed();
  });
}
