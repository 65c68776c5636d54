/**
 * The header by which the API owns up to a list that is not whole. The body's shape stays an
 * array, so a client that does not know the header reads what there is.
 */

/** Names in lower case, as Node's HTTP client gives them. */
export const TRUNCATED_HEADER = "postern-truncated";

export interface Truncation {
  /** People and services whose sessions were not asked for. */
  readonly owners: number;
  /** Sessions that are known and were not asked. */
  readonly sessions: number;
  /** Sessions that were asked and did not answer. */
  readonly unreachable: number;
}

/** "sessions=20, unreachable=1" (a dictionary of RFC 9651): the counts above 0; undefined when the list is whole. */
export function formatTruncation(cut: Truncation): string | undefined {
  const members = (["owners", "sessions", "unreachable"] as const).filter((name) => cut[name] > 0).map((name) => `${name}=${cut[name]}`);
  return members.length === 0 ? undefined : members.join(", ");
}
