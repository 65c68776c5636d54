/**
 * Stands in for parts of packages that the Worker never enters; wrangler.toml's `[alias]` puts it in
 * their place, which is a twentieth of the bundle. Of `yaml`: what writes it, what walks it and makes
 * nodes of values, merging, and the tags of YAML 1.1, none of which policy/yaml-text.ts's options
 * reach. Of `hono`: mounting another framework and form bodies. A tag that is absent is one that
 * nobody resolves; a function that is called after all throws: the document is refused as "not valid
 * YAML", the request as unavailable.
 */
function leftOut(): never {
  throw new Error("left out of the bundle");
}

// hono
export { leftOut as createMountedRequest, leftOut as parseBody };

// yaml
export {
  leftOut as addMergeToJSMap,
  leftOut as anchorNames,
  leftOut as applyReviver,
  leftOut as createNode,
  leftOut as createNodeAnchors,
  leftOut as createStringifyContext,
  leftOut as findNewAnchor,
  leftOut as stringify,
  leftOut as stringifyCollection,
  leftOut as stringifyDocument,
  leftOut as stringifyNumber,
  leftOut as stringifyPair,
  leftOut as stringifyString,
  leftOut as visit,
  leftOut as visitAsync,
};

const absent = undefined;
export { absent as binary, absent as floatTime, absent as intTime, absent as merge, absent as omap, absent as pairs, absent as schema, absent as set, absent as timestamp };

/** Asked of every key: the core schema merges nothing. */
export const isMergeKey = (): boolean => false;
