/** Names on a command line. */

/** `*` stands for anything. */
const fits = (name: string, pattern: string): boolean => {
  const [first = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return name === first;
  const last = rest.pop() ?? "";
  if (!name.startsWith(first) || !name.slice(first.length).endsWith(last)) return false;
  let left = name.slice(first.length, name.length - last.length);
  for (const part of rest) {
    const at = left.indexOf(part);
    if (at < 0) return false;
    left = left.slice(at + part.length);
  }
  return true;
};

/** Whether a name is among these; no patterns: every name is. */
export const matches = (name: string, patterns: readonly string[]): boolean => patterns.length === 0 || patterns.some((pattern) => fits(name, pattern));

/** Throws an Error that names what there is. */
export function checkNames(what: string, given: readonly string[], known: readonly string[]): void {
  const unknown = given.find((pattern) => !known.some((name) => matches(name, [pattern])));
  if (unknown !== undefined) throw new Error(`there is no ${what} ${unknown}; there are ${known.join(", ")}`);
}

/** What a comma separates. */
export const namesIn = (text: string | undefined): string[] => (text ?? "").split(",").map((name) => name.trim()).filter((name) => name !== "");
