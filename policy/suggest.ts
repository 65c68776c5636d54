/**
 * The nearest known name to a mistyped one, for "did you mean". Not a search: at most two edits away.
 */

/** Longer words are never compared: bounds the work a hostile document can cause. */
const MAX_WORD_CHARS = 64;

/** Edits (insert, delete, replace, swap of neighbours) between two short words. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const cell = (i: number, j: number): number => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(cell(i - 1, j) + 1, (row[j - 1] ?? Infinity) + 1, cell(i - 1, j - 1) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, cell(i - 2, j - 2) + 1);
      row.push(best);
    }
  }
  return cell(a.length, b.length);
}

/** The candidate nearest to `word`, first in the list on a tie; undefined when none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length === 0 || word.length > MAX_WORD_CHARS) return undefined;
  const lower = word.toLowerCase();
  let best: string | undefined;
  // One more than the edits allowed: none for one letter, one up to three, two from four.
  let least = Math.min(3, 1 + Math.floor(word.length / 2));
  let looked = 0;
  for (const candidate of candidates) {
    if (++looked > 2_000) break;
    if (candidate.length > MAX_WORD_CHARS || Math.abs(candidate.length - word.length) >= 3) continue;
    const edits = distance(lower, candidate.toLowerCase());
    if (edits < least) {
      least = edits;
      best = candidate;
    }
  }
  return best;
}

/** The fix line of a problem: `did you mean "groups"?`, or undefined. */
export function didYouMean(word: string, candidates: Iterable<string>): string | undefined {
  const best = nearest(word, candidates);
  return best === undefined ? undefined : `did you mean "${best}"?`;
}
