/**
 * The frames of the floor: `[stream u32][type u8][payload]`, one a message. The least that can
 * carry streams: no credit, no reset, no checks. Not the product's protocol.
 */
export const FRAME_HEADER_BYTES = 5;

/** Edge to relay: `METHOD\nPATH\nLENGTH`, no body follows. */
export const OPEN = 1;
/** The same, and DATA up to END follow. */
export const OPEN_WITH_BODY = 2;
/** Edge to relay: `PATH` of a WebSocket. */
export const OPEN_WEBSOCKET = 3;
/** Relay to edge: status u16, then the whole body. */
export const ANSWER = 4;
/** Relay to edge: status u16, length f64; DATA up to END follow. */
export const HEAD = 5;
export const DATA = 6;
export const END = 7;
/** A WebSocket's message. */
export const TEXT = 8;
export const BINARY = 9;

/** A frame whose payload is still to be filled in, and a view of it. */
export function emptyFrame(stream: number, type: number, payloadBytes: number): { readonly frame: Uint8Array<ArrayBuffer>; readonly view: DataView } {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payloadBytes);
  const view = new DataView(frame.buffer);
  view.setUint32(0, stream);
  frame[4] = type;
  return { frame, view };
}

export function frameOf(stream: number, type: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const { frame } = emptyFrame(stream, type, payload.length);
  frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}
