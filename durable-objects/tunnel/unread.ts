/**
 * What a peer was sent and has not shown that it read. The runtime queues without a bound and does
 * not say what was taken, and credit can be given blindly: so the peer is asked, by marks of random
 * value among what it is sent, and only whoever has read so far can repeat one (AG8).
 */
import { MESSAGE_WEIGHT_BYTES } from "../../protocol/limits.ts";

/** As it is kept: the last mark that waits alone, since its answer proves all that stands before the others too. */
export interface KeptUnread {
  readonly left: number;
  /** The mark's value, and what was sent behind it. */
  readonly mark?: readonly [value: number, behind: number] | undefined;
}

export class Unread {
  /** Weight of all that was sent, and of what came for certain. */
  #sent: number;
  #came = 0;
  readonly #marks: { value: number; at: number }[] = [];

  constructor({ left, mark }: KeptUnread) {
    this.#sent = left;
    if (mark !== undefined) this.#marks.push({ value: mark[0], at: left - mark[1] });
  }

  get bytes(): number {
    return this.#sent - this.#came;
  }
  get kept(): KeptUnread {
    const last = this.#marks.at(-1);
    return { left: this.bytes, mark: last && [last.value, this.#sent - last.at] };
  }
  /** At least so much was sent of which nothing asks. */
  isDue(least: number): boolean {
    return this.#sent - (this.#marks.at(-1)?.at ?? this.#came) >= least;
  }

  /** A message is sent; answers what it weighs. */
  add({ length }: string | Uint8Array): number {
    this.#sent += length + MESSAGE_WEIGHT_BYTES;
    return length + MESSAGE_WEIGHT_BYTES;
  }

  /** A new mark. What says it is sent by `send`, and comes before its answer as well. */
  ask(send: (value: number) => void): void {
    const mark = { value: crypto.getRandomValues(new Uint32Array(1))[0] ?? 0, at: this.#sent };
    this.#marks.push(mark);
    send(mark.value);
    mark.at = this.#sent;
  }

  /** An answer; how much came for certain because of it, 0 when nothing waits for that value. */
  answer(value: number): number {
    const index = this.#marks.findIndex((mark) => mark.value === value);
    const at = this.#marks[index]?.at ?? this.#came;
    this.#marks.splice(0, index + 1);
    const came = at - this.#came;
    this.#came = at;
    return came;
  }
}
