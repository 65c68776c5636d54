import { duplexPair } from "node:stream";
import { expect, it, vi } from "vitest";
import { HeldBytes } from "../../channel/held-bytes.ts";
import { ResumableSocket } from "../../channel/resumable-socket.ts";
import { RESUME_WINDOW_BYTES } from "../../protocol/limits.ts";
import { ResumeReader } from "../../protocol/resume-frames.ts";

it("RS8: who attaches to a stream that broke here meanwhile hears so, and does not wait for it", async () => {
  const [local, client] = duplexPair();
  const over = vi.fn();
  const socket = new ResumableSocket(local, { held: new HeldBytes(), owner: "", share: () => RESUME_WINDOW_BYTES, detached: () => undefined, over }, "client_reset");
  local.destroy();
  await vi.waitFor(() => expect(over).toHaveBeenCalledWith({ whole: false, code: "client_reset" }));
  const [ours, theirs] = duplexPair();
  const reader = new ResumeReader();
  const heard: unknown[] = [];
  theirs.on("data", (bytes: Uint8Array) => heard.push(...(reader.feed(bytes) ?? ["unreadable"])));
  const ended = new Promise<void>((done) => theirs.once("end", done));
  expect(socket.attach(ours, new ResumeReader(), 0)).toBe(false);
  await ended;
  expect(heard).toEqual([{ type: "abort", code: "client_reset" }]);
  theirs.destroy();
  client.destroy();
});
