/** A socket that moves much: what comes is read into one buffer, what goes leaves in blocks as fast as it is taken. */
import { connect, type Socket } from "node:net";

const RECEIVE_BYTES = 512 * 1024;
const BLOCK = Buffer.alloc(1024 * 1024, "postern ");

/** `take` sees bytes that the next read overwrites. Any end closes the socket; an error is a close. */
export function bulkSocket(load: { readonly port: number; readonly address: string }, take: (bytes: Buffer) => void): Socket {
  const buffer = Buffer.allocUnsafe(RECEIVE_BYTES);
  const socket = connect({
    port: load.port,
    host: load.address,
    onread: {
      buffer,
      callback: (bytes) => {
        take(buffer.subarray(0, bytes));
        return true;
      },
    },
  });
  socket.on("error", () => undefined);
  socket.on("end", () => socket.destroy());
  return socket;
}

/** Sends so many bytes, or as many as are taken before the socket closes. */
export async function sendBlocks(socket: Socket, bytes: number): Promise<void> {
  const over = new Promise<void>((closed) => socket.once("close", () => closed()));
  for (let left = bytes; left > 0 && !socket.destroyed; ) {
    const part = left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left);
    left -= part.length;
    if (socket.write(part)) continue;
    await Promise.race([new Promise<void>((more) => socket.once("drain", more)), over]);
  }
}
