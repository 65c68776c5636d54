/** Writes docs/postern.schema.json, the JSON Schema that editors use for postern.yaml. Run after the language changed. */
import { writeFileSync } from "node:fs";
import { documentShape, whenShape } from "../policy/schema.ts";

/** What this file reads of the library's shapes, whose own types say more of each and less of all. */
type Part = {
  readonly type: string;
  readonly entries?: Readonly<Record<string, Part>>;
  readonly rest?: Part;
  readonly item?: Part;
  readonly least?: number;
  readonly most?: number;
  readonly key?: Part;
  readonly value?: Part;
  readonly wrapped?: Part;
  readonly getter?: () => Part;
  readonly options?: readonly unknown[];
  readonly literal?: unknown;
  readonly pipe?: readonly [Part, ...{ readonly type: string; readonly requirement?: unknown }[]];
};
type Schema = Readonly<Record<string, unknown>>;

/** The one shape that holds itself. */
const WHEN = "__schema0";
const WHEN_SHAPE = whenShape as unknown as Part;

function validations({ pipe }: Part): Schema {
  if (pipe === undefined) return {};
  const [base, ...more] = pipe;
  const of: Record<string, (requirement: unknown) => Schema> = {
    min_length: (minLength) => ({ minLength }),
    max_length: (maxLength) => ({ maxLength }),
    regex: (pattern) => ({ pattern: (pattern as RegExp).source }),
    integer: () => ({ type: "integer" }),
    min_value: (minimum) => ({ minimum }),
    max_value: (maximum) => ({ maximum }),
    // What only code can say is left to `postern check`.
    check: () => ({}),
  };
  return Object.assign(validations(base), ...more.map((one) => {
    const known = of[one.type];
    if (known === undefined) throw new Error(`no JSON Schema for ${one.type}`);
    return known(one.requirement);
  })) as Schema;
}

function schemaOf(shape: Part): Schema {
  if (shape === WHEN_SHAPE) return { $ref: `#/definitions/${WHEN}` };
  switch (shape.type) {
    case "optional":
      return schemaOf(shape.wrapped as Part);
    case "lazy":
      return schemaOf((shape.getter as () => Part)());
    case "union":
      return { anyOf: (shape.options as readonly Part[]).map(schemaOf) };
    case "literal":
      return { type: typeof shape.literal, const: shape.literal };
    case "picklist":
      return { type: "string", enum: shape.options };
    case "unknown":
      return {};
    case "array":
      return { ...(shape.least === 0 ? {} : { minItems: shape.least }), maxItems: shape.most, type: "array", items: schemaOf(shape.item as Part) };
    case "record":
      return { type: "object", propertyNames: schemaOf(shape.key as Part), additionalProperties: schemaOf(shape.value as Part) };
    case "object":
      return objectOf(shape);
    case "string":
    case "number":
    case "boolean":
      return { type: shape.type, ...validations(shape) };
    default:
      throw new Error(`no JSON Schema for ${shape.type}`);
  }
}

function objectOf({ entries = {}, rest }: Part): Schema {
  const required = Object.keys(entries).filter((key) => entries[key]?.type !== "optional");
  const properties = Object.fromEntries(Object.entries(entries).map(([key, shape]) => [key, schemaOf(shape)]));
  return { type: "object", properties, ...(required.length === 0 ? {} : { required }), additionalProperties: rest === undefined ? false : schemaOf(rest) };
}

/** The file's text. */
export function schemaText(): string {
  const schema = { $schema: "http://json-schema.org/draft-07/schema#", ...schemaOf(documentShape as unknown as Part), definitions: { [WHEN]: objectOf(WHEN_SHAPE) }, title: "Postern policy document" };
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}

if (process.argv[1]?.endsWith("policy-schema.ts") === true) {
  writeFileSync(new URL("../docs/postern.schema.json", import.meta.url), schemaText());
}
