/** The words of errors are read from the assets once; without them an answer says its code, and none waits for long. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { ERROR_TEXTS } from "../../core/error-texts.ts";
import { parseRequestId } from "../../core/ids.ts";

const NOW = 1_000_000;
const asked: string[] = [];
const assetsOf = (answer: (init?: RequestInit) => Promise<Response>) => ({
  fetch: (url: string, init?: RequestInit) => {
    asked.push(url);
    return answer(init);
  },
});
const whole = assetsOf(() => Promise.resolve(Response.json(ERROR_TEXTS)));
const broken = assetsOf(() => Promise.resolve(new Response("not found", { status: 404 })));

/** A fresh isolate's module. */
async function isolate() {
  vi.resetModules();
  const { errorWords, readErrorWords } = await import("../../worker/error-words.ts");
  const { blankPage } = await import("../../worker/pages/blank.ts");
  return { errorWords, readErrorWords, blankPage };
}
const [A, B] = ["r_AAAAAAAAAAAAAAAAAAAAAA", "r_BBBBBBBBBBBBBBBBBBBBBB"].map((text) => {
  const id = parseRequestId(text);
  if (id === undefined) throw new Error("not a request id");
  return id;
}) as [NonNullable<ReturnType<typeof parseRequestId>>, NonNullable<ReturnType<typeof parseRequestId>>];

beforeEach(() => {
  asked.length = 0;
});

describe("the words of errors", () => {
  it("are read once, and are the registry's", async () => {
    const { errorWords, readErrorWords } = await isolate();
    await readErrorWords(whole, NOW);
    expect(readErrorWords(whole, NOW)).toBeUndefined();
    expect(asked).toEqual(["https://assets.internal/errors.json"]);
    for (const [code, text] of Object.entries(ERROR_TEXTS)) expect(errorWords(code as keyof typeof ERROR_TEXTS)).toEqual(text);
  });

  it("that cannot be read leave the code, and are asked for again 10 s later", async () => {
    const { errorWords, readErrorWords } = await isolate();
    await readErrorWords(broken, NOW);
    expect(errorWords("denied")).toEqual({ title: "denied", text: "denied", who: "both", fix: [] });
    expect(readErrorWords(whole, NOW + 9_999)).toBeUndefined();
    await readErrorWords(whole, NOW + 10_000);
    expect(errorWords("denied")).toEqual(ERROR_TEXTS.denied);
    expect(asked).toHaveLength(2);
  });

  it("that never come are waited for by nobody for longer than a second", async () => {
    const { errorWords, readErrorWords } = await isolate();
    let given: AbortSignal | null | undefined;
    const stalled = assetsOf((init) => {
      given = init?.signal;
      return new Promise((_, reject) => given?.addEventListener("abort", () => reject(new Error("too late"))));
    });
    const began = performance.now();
    await readErrorWords(stalled, NOW);
    expect(given?.aborted).toBe(true);
    expect(performance.now() - began).toBeGreaterThan(900);
    expect(errorWords("unavailable").title).toBe("unavailable");
  });

  it("are nobody's to wait for in a deployment without assets", async () => {
    const { errorWords, readErrorWords } = await isolate();
    expect(readErrorWords(undefined, NOW)).toBeUndefined();
    expect(errorWords("not_found").text).toBe("not_found");
  });

  it("change the blank page for everybody at once: with and without them only the request id differs", async () => {
    const { readErrorWords, blankPage } = await isolate();
    const masked = (id: typeof A): string => blankPage(id).replace(id, "*");
    const without = masked(A);
    expect(masked(B)).toBe(without);
    await readErrorWords(whole, NOW);
    expect(masked(A)).toBe(masked(B));
    expect(masked(A)).toContain(ERROR_TEXTS.not_found.title);
    expect(masked(A)).not.toBe(without);
  });
});
