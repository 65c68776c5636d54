/**
 * The only script of these pages: it keeps the part of an address after "#" through signing in.
 * Browsers hand a fragment on through redirects, so it arrives at the page before the identity
 * provider; there it is put aside for this tab, and taken up again on the way back. The server
 * never sees it. Without script everything works, and only the fragment is lost.
 */
import type { Markup } from "./markup.ts";
import { markup } from "./markup.ts";

export const FRAGMENT_SCRIPT_PATH = "/.postern/fragment.js";

/** Longest fragment that is kept: bounds what a link can leave in the tab's storage. */
const FRAGMENT_MAX_CHARS = 2_048;

export const FRAGMENT_SCRIPT: Markup = markup`<script src="${FRAGMENT_SCRIPT_PATH}" defer></script>
`;

/** Attribute: put the fragment of this page aside under `flow`. */
export const keepFragment = (flow: string): Markup => markup` data-keep="${flow}"`;
/** Attribute of a link: take up what was kept under `flow`. */
export const restoreFragment = (flow: string): Markup => markup` data-restore="${flow}"`;

/** The text of fragment.js (text/javascript). `data-go` marks the link that is followed at once. */
export const FRAGMENT_JS = `"use strict";
(() => {
  const storage = () => { try { return sessionStorage; } catch { return undefined; } };
  const name = (flow) => "postern:fragment:" + flow;
  try {
    const keep = document.querySelector("[data-keep]");
    if (keep) {
      const hash = location.hash;
      const key = name(keep.dataset.keep);
      if (hash.length > 1 && hash.length <= ${FRAGMENT_MAX_CHARS}) storage()?.setItem(key, hash);
      else storage()?.removeItem(key);
    }
    const back = document.querySelector("a[data-restore]");
    if (back) {
      const key = name(back.dataset.restore);
      const hash = storage()?.getItem(key);
      storage()?.removeItem(key);
      if (hash?.startsWith("#")) back.hash = hash;
    }
  } catch { /* storage is off or full: go on without the fragment */ }
  const go = document.querySelector("a[data-go]");
  if (go && /^https?:$/.test(go.protocol)) location.replace(go.href);
})();
`;
