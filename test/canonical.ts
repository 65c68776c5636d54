/** Documents as the edge takes them. */
import { writtenSource } from "../policy/parse-document.ts";

/** A test's YAML as canonical JSON; throws on a text that is no YAML. */
export function canonical(yaml: string): string {
  const written = writtenSource(yaml);
  if (!written.ok) throw new Error(JSON.stringify(written.error));
  return written.value.canonical;
}
