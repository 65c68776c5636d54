/** Ending a WebSocket that may be gone already. */
import { closeReason, sendableCloseCode } from "../../protocol/close-codes.ts";

/** Closes with a code that may be sent; a socket that is closed already stays so. */
export function closeSocket(socket: WebSocket, code: number, reason: string): void {
  try {
    socket.close(sendableCloseCode(code), closeReason(reason));
  } catch {
    // Already closed.
  }
}
