/**
 * Lets an answer outlive a write that failed. An app may answer an upload that it has not read and
 * reset the connection. What had arrived by then stays readable (Linux drops the socket's error
 * with whoever meets it first, and keeps its receive queue), but Node destroys a socket with its first
 * failed write, and the answer with it. Here the write counts as done, its bytes as dropped, and
 * reading finds the answer and then the end. For HTTP answers only: where bytes say nothing of
 * their own end, a reset that looks like an end would be a short success (promise 7).
 */
import type { Socket } from "node:net";
import { errorCode } from "./failure.ts";

/** Every socket that reads on, and whether a write to it failed. */
const failedWrite = new WeakMap<Socket, boolean>();

/** Node's own words for "the other end is gone", by a reset or after its end. */
export const isReset = (error: unknown): boolean => ["ECONNRESET", "EPIPE"].includes(errorCode(error) ?? "");

/** Makes failed writes of a socket into dropped ones. May be called again. */
export function readOn(socket: Socket): void {
  if (failedWrite.has(socket)) return;
  failedWrite.set(socket, false);
  type Done = (error?: Error | null) => void;
  const outlived = (done: Done): Done => (error) => {
    if (!isReset(error)) return done(error);
    failedWrite.set(socket, true);
    done();
  };
  // What net.Socket gives its stream to write with; Writable calls one for a chunk, the other for several.
  const [one, several] = [socket._write.bind(socket), socket._writev?.bind(socket)];
  socket._write = (chunk, encoding, done) => one(chunk, encoding, outlived(done));
  if (several !== undefined) socket._writev = (chunks, done) => several(chunks, outlived(done));
}

/** A write failed, so that the end of what is read may be a reset's. */
export const wroteInVain = (socket: Socket | null | undefined): boolean => socket !== null && socket !== undefined && failedWrite.get(socket) === true;
