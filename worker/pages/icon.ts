/**
 * The mark: a small arched door in a wall. As markup beside the name, and as a file of its own
 * for the browser's tab. Not for anything that carries meaning: it is hidden from screen readers.
 */
import { markup } from "./markup.ts";

export const ICON_PATH = "/.postern/icon.svg";

/** The mark in the page: the same on light and dark, so that people know it again. */
export const MARK = markup`<svg class="mark" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false"><rect width="32" height="32" rx="8" fill="#1d4f46"/><path d="M7.5 27V14.5a8.5 8.5 0 0 1 17 0V27z" fill="#8fd0bd"/><path d="M10.5 27V14.5a5.5 5.5 0 0 1 11 0V27z" fill="#1d4f46"/><circle cx="18.4" cy="19" r="1.6" fill="#f3c969"/></svg>`;

/** The tab icon, image/svg+xml. Plain attributes: a stylesheet in it would need an exception in the policy. */
export const ICON_SVG = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#1d4f46"/><path d="M7.5 27V14.5a8.5 8.5 0 0 1 17 0V27z" fill="#8fd0bd"/><path d="M10.5 27V14.5a5.5 5.5 0 0 1 11 0V27z" fill="#1d4f46"/><circle cx="18.4" cy="19" r="1.6" fill="#f3c969"/></svg>
`;
