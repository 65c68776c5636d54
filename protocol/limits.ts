/**
 * Every limit of the wire: unit in the name, the attack it bounds, who enforces it. These are
 * our choices; numbers that yamux or RFC 6455 fix are in frames.ts and websocket-messages.ts,
 * times are in deadlines.ts. SPEC.md repeats each number (LM1) and a test pins them.
 */

// Messages and frames

/** One WebSocket message of frames. Bounds what a peer makes us hold in one piece. Enforced by mux.ts on both ends. */
export const MAX_MESSAGE_BYTES = 64 * 1024;
/** A write of fewer bytes than this is not cut to fill the rest of a message. Not a defence: fewer tiny frames. Mux output. */
export const MIN_SPLIT_BYTES = 1024;

// Streams

/** Live streams of one socket. Bounds the stream map (class K). Enforced by mux.ts on both ends. */
export const MAX_STREAMS_COUNT = 4_096;
/** Streams opened here that the peer has not acknowledged. Bounds what is opened into a stalled socket. Opener, mux.ts. */
export const MAX_BACKLOG_COUNT = 1_024;
/** Acknowledgements held back to ride with other output; this many are sent by themselves. Acceptor, mux.ts. */
export const ACK_BATCH_COUNT = 32;
/** Ids kept apart per reservation in the connector socket's attachment (M3). Bounds id reuse after a wake. Tunnel object. */
export const STREAM_ID_BLOCK_COUNT = 1_024;
/** From here on no stream is opened and GOAWAY is sent (M3). Bounds id wrap-around. Opener, mux.ts. */
export const LAST_STREAM_ID = 2 ** 31 - 2 ** 20;
/** How far ids of a peer may arrive out of order; older ones count as reused. Bounds memory of used ids. Acceptor, mux.ts. */
export const ID_REORDER_COUNT = 8_192;

// Credit and memory

/** The receive window of a stream. Bounds bytes held per stream for a slow reader (L4). Both ends, mux.ts. */
export const WINDOW_BYTES = 256 * 1024;
/** Credit goes back when this share of the window is owed: 1/4. Bounds window updates per byte. Receiver, mux.ts. */
export const CREDIT_SHARE = 4;
/** The most credit a peer may hold out on a stream; more is a protocol error (class K, credit overflow). Sender, mux.ts. */
export const MAX_CREDIT_BYTES = 4 * 1024 * 1024;
/** Bytes received and not consumed on one socket, and bytes sent and not credited. Bounds the sum of windows (M11). Mux.ts; a tunnel object with several sockets sets less. */
export const MAX_BUFFERED_BYTES = 32 * 1024 * 1024;
/** New streams are refused above this share of MAX_BUFFERED_BYTES: 7/8; the largest is reset above all of it (M11). Mux.ts. */
export const REFUSE_SHARE = 0.875;
/** What one held data frame weighs besides its bytes. Bounds a flood of tiny frames (class K, fragments). Receiver, mux.ts. */
export const HELD_FRAME_BYTES = 128;
/** A payload is copied out of its buffer if it is smaller than this share: 1/4. Bounds memory pinned by small views. Mux.ts. */
export const COPY_SHARE = 4;

// Floods (class K). Token buckets: a burst, refilled per second.

/** Resets by the peer, and resets it provokes. Bounds rapid reset; the burst lets all streams be cut at once, twice. Mux.ts. */
export const MAX_RESETS_BURST_COUNT = 2 * MAX_STREAMS_COUNT;
export const MAX_RESETS_PER_SECOND_COUNT = 1_000;
/** Frames for ids nobody knows, and frames that say nothing. Bounds garbage. Mux.ts. */
export const MAX_IGNORED_BURST_COUNT = 8_192;
export const MAX_IGNORED_PER_SECOND_COUNT = 1_000;
/** Pings answered. Bounds ping floods; a tunnel is sent none (M13), an agent those of AG8. Mux.ts. */
export const MAX_PINGS_BURST_COUNT = 32;
export const MAX_PINGS_PER_SECOND_COUNT = 1;
/** Closed streams whose late frames are expected. Bounds their memory; the oldest is forgotten first. Mux.ts. */
export const MAX_LATE_STREAMS_COUNT = 8_192;
/** Frames without payload waiting for takeOutput. Bounds control queues when nobody drains. Mux.ts. */
export const MAX_QUEUED_CONTROL_COUNT = 32_768;

// The agent's link (AG). Enforced by the tunnel object.

/** Streams of one agent's socket, opening ones counted. Bounds its attachment (M13); more sockets after that. */
export const MAX_AGENT_STREAMS_COUNT = 256;
/** What an agent was sent and has not shown that it read, and what it sent and the connector has not credited. Bounds what one agent makes this object and a connector hold (M11). */
export const MAX_AGENT_BYTES = 20 * 1024 * 1024;
/** Sent on a socket since its peer was asked last whether it has come; towards a connector, what ended streams left. */
export const MARK_BYTES = 1024 * 1024;
/** What a message that waits in the runtime weighs besides its bytes. Bounds queues of tiny messages (L4). */
export const MESSAGE_WEIGHT_BYTES = 1024;
/** The same for all agents of an object, and once more with what closed sockets have not read; not above what a connector refuses new streams at, so that its other streams go on. */
export const MAX_SPLICED_BYTES = 28 * 1024 * 1024;
/** Spliced streams of one connector's socket, which its mux does not count; a quarter of MAX_STREAMS_COUNT is left to the others. */
export const MAX_SPLICED_STREAMS_COUNT = 3_072;
/** The same of one session on a lane: a quarter, so that nobody takes them all. */
export const MAX_SESSION_STREAMS_COUNT = 768;
/** Spliced streams begun on one connector's socket. Each can be reset once, so this stays below what ends the socket (MAX_RESETS). */
export const MAX_LINK_OPENS_BURST_COUNT = 4_096;
export const MAX_LINK_OPENS_PER_SECOND_COUNT = 500;
/** A window update below this counts as a frame that says nothing. Bounds floods of tiny credit. */
export const MIN_CREDIT_BYTES = 1024;
/** Streams that an agent's socket asks for. Bounds decisions and records. */
export const MAX_OPENS_BURST_COUNT = 1_024;
export const MAX_OPENS_PER_SECOND_COUNT = 256;
/** One that is refused counts as so many: it is asked about and recorded at once. Bounds what a denied agent makes others wait. */
export const REFUSED_OPEN_COUNT = 16;
/** One text of an agent. Bounds JSON.parse. */
export const MAX_AGENT_TEXT_BYTES = 2 * 1024;

// Bulk (M15)

/** What is left of a body must be more than this to leave the mux: below it a request of its own costs more than it saves. Both ends. */
export const MIN_BULK_BYTES = 256 * 1024;
/** One segment towards the edge; front ends refuse request bodies above 100 MB. Both ends. */
export const MAX_SEGMENT_BYTES = 64 * 1024 * 1024;

// Heads

/** JSON of a stream head. Bounds endless heads. HeadReader on both ends. */
export const MAX_HEAD_BYTES = 192 * 1024;
/** Names and values of all headers of a head, as UTF-16 units. Bounds header memory. head.ts; the edge asks it of a request as it came, whole lines counted. */
export const MAX_HEADERS_BYTES = 128 * 1024;
/** Headers of a head. Bounds header floods. head.ts. */
export const MAX_HEADERS_COUNT = 256;
/** Path with query. Bounds paths that origins cannot hold. head.ts. */
export const MAX_PATH_BYTES = 16 * 1024;
/** `detail` of an error answer and `reason` of a status. Bounds text that reaches logs. head.ts. */
export const MAX_DETAIL_BYTES = 512;
/** An app's version as its connector tells it, in UTF-16 units. Bounds what a lane keeps of an app. control.ts. */
export const MAX_TARGET_VERSION_BYTES = 128;

// WebSocket messages inside a stream

/** One relayed WebSocket message; above it close 1009 (M12). Bounds what a browser makes us hold. Reader and writer. */
export const MAX_WEBSOCKET_MESSAGE_BYTES = 1024 * 1024;
/** Payload of ping and pong, and of close (RFC 6455 §5.5). Reader and writer. */
export const MAX_WEBSOCKET_CONTROL_BYTES = 125;
/** Reason of a close: 125 minus the code (RFC 6455 §5.5.1). close-codes.ts. */
export const MAX_CLOSE_REASON_BYTES = 123;

// Control texts

/** One control text. Bounds JSON.parse before anything is proven; configuration is the largest. control.ts on both ends. */
export const MAX_CONTROL_BYTES = 512 * 1024;
/** One control text before the hello is verified. Bounds strangers. Tunnel object and connector. */
export const MAX_HELLO_BYTES = 8 * 1024;
/** Ids in one cut; more are cut by more messages. control.ts. */
export const MAX_CUT_IDS_COUNT = 4_096;
/** Control texts of unknown kind on one socket. Bounds what forward compatibility lets through. Tunnel object and connector. */
export const MAX_UNKNOWN_CONTROL_COUNT = 1_000;

// Resumable streams, inside TLS between agent and connector

/** The receive window of a tcp stream at agent and connector, who hand over at once what comes: nearly as much as a peer may be given (MAX_CREDIT_BYTES), so that no rounding of anybody's ends a session. Both ends. */
export const TCP_WINDOW_BYTES = 3840 * 1024;
/** Bytes sent and not acknowledged, and received and not handed over, of one stream. Bounds replay buffers (M18). resume.ts on both ends. */
export const RESUME_WINDOW_BYTES = 4 * 1024 * 1024;
/** All streams of an agent's link, and all of a connector, send at most this much unacknowledged, in equal shares, but each at least MIN_RESUME_SHARE_BYTES. Bounds what is on the way through one tunnel object. Both ends. */
export const RESUME_SHARED_BYTES = 8 * 1024 * 1024;
export const MIN_RESUME_SHARE_BYTES = 128 * 1024;
/** Payload of one data frame. Bounds nothing but its length's meaning. Both ends. */
export const MAX_RESUME_DATA_BYTES = 64 * 1024;
/** What all resumable streams of one process hold together. Bounds the sum of replay buffers and of what waits for local sockets (M18): above it the largest stream of whoever holds most ends. channel/held-bytes.ts at agent and connector. */
export const MAX_RESUME_HELD_BYTES = 64 * 1024 * 1024;
/** Streams without a connection that a connector keeps; one more ends at once. Bounds abandoned origin sockets (class K). Connector. */
export const MAX_DETACHED_COUNT = 1_024;
/** Endorsements that a connector shows. Bounds signatures that an agent checks. Both ends. */
export const MAX_ENDORSEMENTS_COUNT = 16;
