import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RequestId, SessionId } from "../../core/ids.ts";
import { type BatchItem, packReply, unpackReply } from "../../durable-objects/batch-reply.ts";

const body = fc.uint8Array({ maxLength: 200 });
const answer = fc.record({ id: fc.string(), sid: fc.option(fc.string(), { nil: undefined }), status: fc.integer({ min: 200, max: 599 }), headers: fc.array(fc.tuple(fc.string(), fc.string())), body: fc.option(body, { nil: null }) });

describe("answers of a batch in one buffer (M16)", () => {
  it("come out as they went in, each with its own body", () => {
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 20 }), (answers) => {
        const items = answers.map(({ id, sid, status, headers, body: bytes }): BatchItem => ({
          id: id as RequestId,
          ...(sid === undefined ? {} : { sid: sid as SessionId }),
          kind: "whole",
          status,
          headers,
          ...(bytes === null ? {} : { bytes: bytes.length }),
        }));
        const read = unpackReply(packReply(items, answers.flatMap((one) => (one.body === null ? [] : [one.body]))));
        expect(read.map((one) => one.item)).toEqual(items);
        expect(read.map((one) => (one.body === null ? null : [...one.body]))).toEqual(answers.map((one) => (one.body === null ? null : [...one.body])));
      }),
    );
  });

  it("a buffer that was cut, or has bytes too many, is none", () => {
    const items: BatchItem[] = [{ id: "r_1" as RequestId, kind: "whole", status: 200, headers: [], bytes: 5 }];
    const good = packReply(items, [new Uint8Array(5)]);
    for (let length = 0; length < good.length; length++) expect(() => unpackReply(good.subarray(0, length)), String(length)).toThrow();
    expect(() => unpackReply(new Uint8Array([...good, 0]))).toThrow();
  });
});
