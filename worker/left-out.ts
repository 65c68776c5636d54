/**
 * Stands in for parts of hono that the Worker never enters, mounting another framework and form
 * bodies; wrangler.toml's `[alias]` puts it in their place. A function that is called after all
 * throws: the request ends as unavailable.
 */
function leftOut(): never {
  throw new Error("left out of the bundle");
}

export { leftOut as createMountedRequest, leftOut as parseBody };
