/** Text of the outside for a terminal: no control, format or bidirectional characters. A name may not move the cursor or hide another. */
export function terminalText(text: string, maxChars: number): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?").slice(0, maxChars);
}
