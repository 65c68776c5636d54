/**
 * Values inside command lines that we print for copying. Quoted always, refused when no quoting is
 * sure (class L: parameters injected into a printed install line).
 */
import { Failure } from "./failure.ts";

/** Printable ASCII only: newlines end a line, and PowerShell takes curly quotes for quotes. */
function quotable(value: string, what: string): string {
  if (/^[\x20-\x7e]+$/.test(value)) return value;
  throw new Failure("unquotable", `the ${what} cannot be put into a command line safely`, "it holds characters other than printable ASCII", ["type the command yourself, or rename it in the document"]);
}

/** One word for a POSIX shell. */
export function quoteSh(value: string, what: string): string {
  return `'${quotable(value, what).replaceAll("'", `'\\''`)}'`;
}

/** One word for PowerShell. */
export function quotePowerShell(value: string, what: string): string {
  return `'${quotable(value, what).replaceAll("'", "''")}'`;
}
