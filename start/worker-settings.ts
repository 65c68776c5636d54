/**
 * What wrangler.toml says that a local run needs: name, compatibility, variables, objects.
 * Refuses bindings that plain workerd cannot provide, so that the local run never silently
 * differs from the deployment. Not a second configuration: wrangler.toml stays the source.
 */
import { parse } from "node:path";
import { z } from "zod";
import { StartError } from "./start-error.ts";

const filled = (value: unknown): boolean => (Array.isArray(value) ? value.length > 0 : typeof value === "object" && value !== null && Object.keys(value).length > 0);

const WranglerConfig = z.looseObject({
  name: z.string(),
  main: z.string(),
  compatibility_date: z.string(),
  compatibility_flags: z.array(z.string()),
  vars: z.record(z.string(), z.string()),
  durable_objects: z.object({ bindings: z.array(z.looseObject({ name: z.string(), class_name: z.string() })) }),
  assets: z.looseObject({ directory: z.string(), binding: z.string() }).optional(),
  migrations: z.array(z.looseObject({ tag: z.string(), new_sqlite_classes: z.array(z.string()).optional() })),
});

/** Binding kinds that need a service plain workerd does not have (promise 11: objects are the only state). */
const UNSUPPORTED = ["kv_namespaces", "d1_databases", "r2_buckets", "services", "hyperdrive", "workflows", "vectorize"] as const;

export interface DurableObjectSetting {
  readonly binding: string;
  readonly className: string;
  readonly sqlite: boolean;
}

export interface WorkerSettings {
  readonly name: string;
  /** File name of the bundled main module. */
  readonly mainModule: string;
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
  readonly vars: Readonly<Record<string, string>>;
  readonly objects: readonly DurableObjectSetting[];
  /** Files that the Worker serves: a folder relative to wrangler.toml, and the binding that reads it. */
  readonly assets?: { readonly directory: string; readonly binding: string };
}

/** Picks the settings out of wrangler's normalised configuration; throws StartError naming what is unsupported. */
export function workerSettings(config: unknown): WorkerSettings {
  const parsed = WranglerConfig.safeParse(config);
  if (!parsed.success) throw new StartError(`wrangler.toml cannot be run locally: ${z.prettifyError(parsed.error)}`, "correct wrangler.toml");
  const found = UNSUPPORTED.filter((kind) => filled(parsed.data[kind]));
  if (found.length > 0) throw new StartError(`wrangler.toml has ${found.join(", ")}, which plain workerd does not provide`, "keep state in Durable Objects");
  const sqlite = new Set(parsed.data.migrations.flatMap((migration) => migration.new_sqlite_classes ?? []));
  return {
    name: parsed.data.name,
    mainModule: `${parse(parsed.data.main).name}.js`,
    compatibilityDate: parsed.data.compatibility_date,
    compatibilityFlags: parsed.data.compatibility_flags,
    vars: parsed.data.vars,
    ...(parsed.data.assets === undefined ? {} : { assets: { directory: parsed.data.assets.directory, binding: parsed.data.assets.binding } }),
    objects: parsed.data.durable_objects.bindings.map((entry) => ({
      binding: entry.name,
      className: entry.class_name,
      sqlite: sqlite.has(entry.class_name),
    })),
  };
}
