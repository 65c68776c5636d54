/** How a page asks for fragment.js, which keeps the part of an address after "#" through signing in. */
import type { Markup } from "./markup.ts";
import { markup } from "./markup.ts";

export const FRAGMENT_SCRIPT: Markup = markup`<script src="/.postern/fragment.js" defer></script>
`;

/** Attribute: put the fragment of this page aside under `flow`. */
export const keepFragment = (flow: string): Markup => markup` data-keep="${flow}"`;
/** Attribute of a link: take up what was kept under `flow`. */
export const restoreFragment = (flow: string): Markup => markup` data-restore="${flow}"`;
