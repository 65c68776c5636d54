/**
 * The cuts that a connector was told of and has not confirmed (M2): which acknowledgement belongs
 * to which, and how long one is waited for. Not what is cut (cut-streams.ts).
 */
import { CUT_ACK_MS } from "../../protocol/deadlines.ts";
import { randomText } from "../random-text.ts";
import { within } from "../within.ts";

const PREFIX_BYTES = 9;

export class PendingCuts {
  /** Anew with each instance of the lane: an acknowledgement of a cut of before never confirms one of now. */
  readonly #prefix = randomText(PREFIX_BYTES);
  #number = 0;
  readonly #waiting = new Map<string, (acknowledged: boolean) => void>();

  /** Tells of one cut in so many parts, each under an id of its own; true once all were acknowledged, false when one was not in time. */
  async ask(parts: number, tell: (id: string, part: number) => void): Promise<boolean> {
    const ids = Array.from({ length: parts }, () => `${this.#prefix}${this.#number++}`);
    const answers = ids.map((id) => new Promise<boolean>((resolve) => this.#waiting.set(id, resolve)));
    for (const [part, id] of ids.entries()) tell(id, part);
    const acknowledged = await within(CUT_ACK_MS, Promise.all(answers));
    for (const id of ids) this.#waiting.delete(id);
    return acknowledged?.every((one) => one) ?? false;
  }

  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** An id that nobody waits for is no fault: its time was over. */
  acknowledged(id: string): void {
    this.#waiting.get(id)?.(true);
  }

  /** The socket is gone: nothing that waits was confirmed. */
  lost(): void {
    for (const answer of this.#waiting.values()) answer(false);
  }
}
