/** Writes docs/postern.schema.json, the JSON Schema that editors use for postern.yaml. Run after the language changed. */
import { writeFileSync } from "node:fs";
import * as z from "zod/mini";
import { documentShape } from "../policy/schema.ts";

/** The file's text. */
export function schemaText(): string {
  const schema = z.toJSONSchema(documentShape, { target: "draft-7", io: "input", unrepresentable: "any" });
  return `${JSON.stringify({ ...schema, title: "Postern policy document" }, undefined, 2)}\n`;
}

if (process.argv[1]?.endsWith("policy-schema.ts") === true) {
  writeFileSync(new URL("../docs/postern.schema.json", import.meta.url), schemaText());
}
