/** Text of the outside, made safe for a terminal and free of secrets. Not for --json, which is escaped by JSON. */
import { terminalText } from "../core/terminal-text.ts";

/** Longest foreign text in one cell or line. */
const MAX_CHARS = 400;
/** Our tokens' grammar, wherever one stands (identity/session-token.ts). */
const TOKENS = /\b(pst|pso|pab|pen)_[A-Za-z0-9_.-]{8,}/g;

export const printable = (text: string): string => terminalText(text, MAX_CHARS);

/** Secrets that this run has read; none of them is ever printed with a failure or a warning. */
export class Secrets {
  readonly #known = new Set<string>();

  add(secret: string): void {
    if (secret !== "") this.#known.add(secret);
  }

  /** The text with every known secret and everything that looks like a token of ours blotted out. */
  mask(text: string): string {
    let masked = text;
    for (const secret of this.#known) masked = masked.replaceAll(secret, "[secret]");
    return masked.replace(TOKENS, "$1_[secret]");
  }
}
