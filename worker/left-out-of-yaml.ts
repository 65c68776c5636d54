/**
 * Stands in for the parts of the package `yaml` that reading a document under the options of
 * policy/yaml-text.ts never enters: what writes YAML, what makes nodes of values, and the tags of
 * YAML 1.1. wrangler.toml's `[alias]` puts it in their place, which is a twentieth of the bundle.
 * A tag that is absent is one that nobody resolves; a function that is called after all throws,
 * and the document is refused as "not valid YAML".
 */
function leftOut(): never {
  throw new Error("left out of the bundle");
}

export {
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
};

const absent = undefined;
export { absent as binary, absent as floatTime, absent as intTime, absent as omap, absent as pairs, absent as schema, absent as set, absent as timestamp };
