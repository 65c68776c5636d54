/** Writes docs/openapi.json (OpenAPI 3.1) from the admin API's routes and shapes. Run after either changed. */
import { writeFileSync } from "node:fs";
import * as z from "zod/mini";
import { ADMIN_ROUTES, type AdminRoute } from "../protocol/admin-api-routes.ts";
import * as shapes from "../protocol/admin-api-shapes.ts";
import { ADMIN_API } from "../protocol/paths.ts";

/** What the API itself asks and answers; the module also has the shapes of a few other routes. */
const { REVOKE_KINDS: _kinds, me: _me, visibleApps: _apps, readiness: _ready, ...SHAPES } = shapes;

const SCHEMAS = "#/components/schemas/";
const nameOf = (key: string): string => `${key.charAt(0).toUpperCase()}${key.slice(1)}`;

/** Every shape once, by name. Answers may gain fields, so nothing forbids them; the bounds of a JavaScript number say nothing. */
function componentSchemas(): Record<string, object> {
  const registry = z.registry<{ id: string }>();
  for (const [key, shape] of Object.entries(SHAPES)) registry.add(shape, { id: nameOf(key) });
  const { schemas } = z.toJSONSchema(registry, {
    target: "draft-2020-12",
    unrepresentable: "any",
    uri: (id) => `${SCHEMAS}${id}`,
    override: ({ jsonSchema }) => {
      delete jsonSchema.additionalProperties;
      delete jsonSchema.maximum;
      delete jsonSchema.readOnly;
    },
  });
  const named = Object.entries(schemas).map(([name, { $schema: _draft, $id: _id, id: _name, ...schema }]) => [name, schema] as const);
  return Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A reference to a shape's schema; throws for a shape that has no name. */
function schemaOf(shape: z.ZodMiniType): object {
  const named = Object.entries(SHAPES).find(([, one]) => one === shape);
  if (named === undefined) throw new Error("a route uses a shape that admin-api-shapes.ts does not export");
  return { $ref: `${SCHEMAS}${nameOf(named[0])}` };
}
const jsonContent = (schema: object): object => ({ "application/json": { schema } });

function operationOf(route: AdminRoute): object {
  const { summary, needs, question, query, status, answer, path } = route;
  const inPath = [...path.matchAll(/\{([a-z]+)\}/g)].map((match) => ({ name: match[1] ?? "", in: "path", required: true, schema: { type: "string" } }));
  const inQuery = Object.entries(query ?? {}).map(([name, description]) => ({ name, in: "query", required: false, description, schema: { type: "string" } }));
  const parameters = [...inPath, ...inQuery];
  return {
    summary,
    description: needs === "setup key" ? "Bearer: the setup key." : `Needs the role ${needs} for postern:admin.`,
    security: [{ bearer: [] }],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(question === undefined
      ? {}
      : { requestBody: { required: true, content: question === "document" ? jsonContent({ type: "object", description: "The value of postern.yaml (postern.schema.json) as canonical JSON: keys in order, each once, no white space. `postern check FILE --canonical` prints it." }) : jsonContent(schemaOf(question)) } }),
    responses: {
      [status]: { description: "Done", content: jsonContent(schemaOf(answer)) },
      default: { description: "Refused; the codes are in errors.md", content: jsonContent(schemaOf(SHAPES.refusal)) },
    },
  };
}

/** The file's text. */
export function openapiText(): string {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of ADMIN_ROUTES) {
    const path = `${ADMIN_API}${route.path}`;
    paths[path] = { ...paths[path], [route.method]: operationOf(route) };
  }
  const document = {
    openapi: "3.1.0",
    info: { title: "Postern admin API", version: "1", description: "Every answer carries Postern-Request-Id. A change sent with a browser's cookie also needs this host's own Origin." },
    servers: [{ url: "https://{launcher}", variables: { launcher: { default: "access.example.com" } } }],
    paths,
    components: { schemas: componentSchemas(), securitySchemes: { bearer: { type: "http", scheme: "bearer" } } },
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

if (process.argv[1]?.endsWith("openapi.ts") === true) {
  writeFileSync(new URL("../docs/openapi.json", import.meta.url), openapiText());
}
