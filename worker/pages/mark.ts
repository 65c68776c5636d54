/**
 * The mark beside the name: a small arched door in a wall, as the tab's icon.svg shows it. Not for
 * anything that carries meaning: it is hidden from screen readers.
 */
import { markup } from "./markup.ts";

/** The same on light and dark, so that people know it again. */
export const MARK = markup`<svg class="mark" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false"><rect width="32" height="32" rx="8" fill="#1d4f46"/><path d="M7.5 27V14.5a8.5 8.5 0 0 1 17 0V27z" fill="#8fd0bd"/><path d="M10.5 27V14.5a5.5 5.5 0 0 1 11 0V27z" fill="#1d4f46"/><circle cx="18.4" cy="19" r="1.6" fill="#f3c969"/></svg>`;
