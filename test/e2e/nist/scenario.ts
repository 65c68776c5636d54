/** A test for each row of a scenario; what is not supported is shown as skipped, with its reason, and counts as nothing. */
import { describe, it } from "vitest";
import { type Family, NOT_SUPPORTED, type Row, rowsOf, titleOf } from "./rows.ts";

export function scenario(id: string, show: (row: Row) => Promise<void>, timeoutMs?: number): void {
  const rows = rowsOf(id[0]?.toLowerCase() as Family).filter((row) => row.scenario === id);
  if (rows.length === 0) throw new Error(`no rows of ${id}`);
  describe(id, () => {
    for (const row of rows) {
      if (row.unsupported === undefined) it(titleOf(row), () => show(row), timeoutMs);
      else it.skip(`${titleOf(row)} (not supported: ${NOT_SUPPORTED[row.unsupported]})`);
    }
  });
}

/** Of which no row is supported. */
export const notSupported = (id: string): void => scenario(id, () => Promise.reject(new Error("nothing shows it")));
