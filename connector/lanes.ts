/** Lanes that a site may have: bounds what an edge makes a connector open. */
export const MAX_LANES_COUNT = 64;
