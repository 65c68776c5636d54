/*
 * The only script of these pages: it keeps the part of an address after "#" through signing in.
 * Browsers hand a fragment on through redirects, so it arrives at the page before the identity
 * provider; there it is put aside for this tab, and taken up again on the way back. The server
 * never sees it. Without script everything works, and only the fragment is lost.
 * `data-go` marks the link that is followed at once.
 */
"use strict";
/** Longest fragment that is kept: bounds what a link can leave in the tab's storage. */
const FRAGMENT_MAX_CHARS = 2_048;
(() => {
  const storage = () => {
    try {
      return sessionStorage;
    } catch {
      return undefined;
    }
  };
  const name = (flow) => "postern:fragment:" + flow;
  try {
    const keep = document.querySelector("[data-keep]");
    if (keep) {
      const hash = location.hash;
      const key = name(keep.dataset.keep);
      if (hash.length > 1 && hash.length <= FRAGMENT_MAX_CHARS) storage()?.setItem(key, hash);
      else storage()?.removeItem(key);
    }
    const back = document.querySelector("a[data-restore]");
    if (back) {
      const key = name(back.dataset.restore);
      const hash = storage()?.getItem(key);
      storage()?.removeItem(key);
      if (hash?.startsWith("#")) back.hash = hash;
    }
  } catch {
    /* storage is off or full: go on without the fragment */
  }
  const go = document.querySelector("a[data-go]");
  if (go && /^https?:$/.test(go.protocol)) location.replace(go.href);
})();
