/** Every number of the wire, pinned: a change here is a change of protocol or of a promise. */
import { describe, expect, it } from "vitest";
import { BACKOFF_BASE_MS, BACKOFF_MAX_MS, STABLE_MS } from "../../protocol/backoff.ts";
import * as control from "../../protocol/control.ts";
import * as deadlines from "../../protocol/deadlines.ts";
import * as frames from "../../protocol/frames.ts";
import { LENGTH_BYTES, MAC_BYTES, UPSTREAM_ERROR_CODES } from "../../protocol/head.ts";
import { SUBPROTOCOL, SUPPORTED_VERSIONS } from "../../protocol/hello.ts";
import * as limits from "../../protocol/limits.ts";
import { MESSAGE_HEADER_BYTES, Opcode } from "../../protocol/websocket-messages.ts";

describe("numbers", () => {
  it("FR1 FC1: yamux's own", () => {
    expect({ ...frames.FrameType, ...frames.Flag }).toEqual({ data: 0, windowUpdate: 1, ping: 2, goAway: 3, syn: 1, ack: 2, fin: 4, rst: 8 });
    expect(frames.GoAwayCode).toEqual({ normal: 0, protocolError: 1, internalError: 2 });
    expect([frames.HEADER_BYTES, frames.FRAME_VERSION, frames.KNOWN_FLAGS, frames.INITIAL_WINDOW_BYTES]).toEqual([12, 0, 15, 262_144]);
  });
  it("HD1 WS1 HS3 KA1: heads, messages, version, keep-alive", () => {
    expect([LENGTH_BYTES, MAC_BYTES, MESSAGE_HEADER_BYTES]).toEqual([4, 32, 5]);
    expect(Opcode).toEqual({ text: 1, binary: 2, close: 8, ping: 9, pong: 10 });
    expect([SUPPORTED_VERSIONS, SUBPROTOCOL]).toEqual([[1], "postern.v1"]);
    expect([control.KEEP_ALIVE_PING, control.KEEP_ALIVE_PONG]).toEqual(["ping", "pong"]);
    expect(UPSTREAM_ERROR_CODES).toEqual(["upstream_refused", "upstream_timeout", "upstream_tls", "upstream_name", "upstream_reset", "upstream_protocol", "not_allowed", "bad_admission", "bad_open", "overloaded"]);
  });
  it("LM1: every limit has its value", () => {
    expect({ ...limits }).toEqual({
      MAX_MESSAGE_BYTES: 65_536,
      MIN_SPLIT_BYTES: 1024,
      MAX_STREAMS_COUNT: 4096,
      MAX_BACKLOG_COUNT: 1024,
      ACK_BATCH_COUNT: 32,
      STREAM_ID_BLOCK_COUNT: 1024,
      LAST_STREAM_ID: 2_146_435_072,
      ID_REORDER_COUNT: 8192,
      WINDOW_BYTES: 262_144,
      CREDIT_SHARE: 4,
      MAX_CREDIT_BYTES: 4_194_304,
      MAX_BUFFERED_BYTES: 33_554_432,
      REFUSE_SHARE: 0.875,
      HELD_FRAME_BYTES: 128,
      COPY_SHARE: 4,
      MAX_RESETS_BURST_COUNT: 8192,
      MAX_RESETS_PER_SECOND_COUNT: 1000,
      MAX_IGNORED_BURST_COUNT: 8192,
      MAX_IGNORED_PER_SECOND_COUNT: 1000,
      MAX_PINGS_BURST_COUNT: 32,
      MAX_PINGS_PER_SECOND_COUNT: 1,
      MAX_LATE_STREAMS_COUNT: 8192,
      MAX_QUEUED_CONTROL_COUNT: 32_768,
      MAX_AGENT_STREAMS_COUNT: 256,
      MAX_AGENT_BYTES: 20_971_520,
      MARK_BYTES: 1_048_576,
      MESSAGE_WEIGHT_BYTES: 1024,
      MAX_SPLICED_BYTES: 29_360_128,
      MAX_SPLICED_STREAMS_COUNT: 3072,
      MAX_SESSION_STREAMS_COUNT: 768,
      MAX_LINK_OPENS_BURST_COUNT: 4096,
      MAX_LINK_OPENS_PER_SECOND_COUNT: 500,
      MIN_CREDIT_BYTES: 1024,
      MAX_OPENS_BURST_COUNT: 1024,
      MAX_OPENS_PER_SECOND_COUNT: 256,
      REFUSED_OPEN_COUNT: 16,
      MAX_AGENT_TEXT_BYTES: 2048,
      MIN_BULK_BYTES: 262_144,
      MAX_SEGMENT_BYTES: 67_108_864,
      MAX_HEAD_BYTES: 196_608,
      MAX_HEADERS_BYTES: 131_072,
      MAX_HEADERS_COUNT: 256,
      MAX_PATH_BYTES: 16_384,
      MAX_DETAIL_BYTES: 512,
      MAX_TARGET_VERSION_BYTES: 128,
      MAX_WEBSOCKET_MESSAGE_BYTES: 1_048_576,
      MAX_WEBSOCKET_CONTROL_BYTES: 125,
      MAX_CLOSE_REASON_BYTES: 123,
      MAX_CONTROL_BYTES: 524_288,
      MAX_HELLO_BYTES: 8192,
      MAX_CUT_IDS_COUNT: 4096,
      MAX_UNKNOWN_CONTROL_COUNT: 1000,
      TCP_WINDOW_BYTES: 3_932_160,
      RESUME_WINDOW_BYTES: 4_194_304,
      RESUME_SHARED_BYTES: 8_388_608,
      MIN_RESUME_SHARE_BYTES: 131_072,
      MAX_RESUME_DATA_BYTES: 65_536,
      MAX_RESUME_HELD_BYTES: 67_108_864,
      MAX_DETACHED_COUNT: 1024,
      MAX_ENDORSEMENTS_COUNT: 16,
    });
  });
  it("LM1: names end in their unit", () => {
    const unitless = Object.keys(limits).filter((name) => !/_(BYTES|COUNT|SHARE|ID)$/.test(name));
    expect(unitless).toEqual([]);
  });
  it("LM1: the largest head fits the initial window, and the largest header block fits the head", () => {
    expect(limits.MAX_HEAD_BYTES + LENGTH_BYTES + MAC_BYTES).toBeLessThan(frames.INITIAL_WINDOW_BYTES);
    expect(limits.MAX_HEADERS_BYTES + limits.MAX_PATH_BYTES).toBeLessThan(limits.MAX_HEAD_BYTES);
  });
  it("LM2 KA2: every deadline has its value", () => {
    expect({ ...deadlines }).toEqual({
      HANDSHAKE_MS: 10_000,
      HEAD_MS: 10_000,
      BODY_IDLE_MS: 600_000,
      HALF_CLOSED_MS: 300_000,
      CUT_ACK_MS: 5_000,
      RESUME_MS: 60_000,
      DRAIN_MS: 30_000,
      DRAIN_ANSWER_MS: 2_000,
      BULK_IDLE_MS: 60_000,
      SEGMENT_MS: 3_600_000,
      BULK_ACCEPT_MS: 5_000,
      KEEP_ALIVE_MS: 10_000,
      KEEP_ALIVE_DEAD_MS: 30_000,
      SECURE_MS: 10_000,
      EDGE_CONTACT_MS: 30_000,
    });
    expect([BACKOFF_BASE_MS, BACKOFF_MAX_MS, STABLE_MS]).toEqual([250, 20_000, 10_000]);
  });
});
