/**
 * The workerd configuration of the local edge, as Cap'n Proto text: one Worker, its Durable
 * Objects on disk, one listener on loopback, a network that may reach private addresses.
 * Holds no secret: those are read from workerd's environment by name.
 */
import type { EdgeBundle } from "./edge-bundle.ts";

export interface WorkerdLayout {
  readonly bundle: Pick<EdgeBundle, "modules" | "settings">;
  /** Folder of the modules, relative to the configuration file. */
  readonly modulesFolder: string;
  /** Absolute folder that holds the objects' storage. */
  readonly objectsFolder: string;
  /** Absolute folder of the files that the Worker serves. */
  readonly assetsFolder: string;
  /** Variables that replace or add to those of wrangler.toml. */
  readonly vars: Readonly<Record<string, string>>;
  /** Names of secrets, each an environment variable of the workerd process. */
  readonly secretNames: readonly string[];
  /** Of V8, besides ours. */
  readonly v8Flags?: readonly string[];
  /** Header that carries request.cf; only test runs have one. */
  readonly factsHeader?: string;
}

/** Young-generation size per isolate: bounds memory when many objects live in one process. */
const MAX_SEMI_SPACE_MB = 4;

/** A Cap'n Proto text literal. Non-ASCII becomes \x escapes of its UTF-8 bytes. */
export function capnpText(text: string): string {
  let out = "";
  for (const byte of new TextEncoder().encode(text)) {
    if (byte === 0x22 || byte === 0x5c) out += `\\${String.fromCharCode(byte)}`;
    else if (byte >= 0x20 && byte < 0x7f) out += String.fromCharCode(byte);
    else out += `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return `"${out}"`;
}

const list = (items: readonly string[]): string => `[\n${items.map((item) => `    ${item}`).join(",\n")}\n  ]`;

/** The text of a workerd configuration whose socket is named "http" and takes its address from the command line. */
export function workerdConfig(layout: WorkerdLayout): string {
  const { settings, modules } = layout.bundle;
  const vars = { ...settings.vars, ...layout.vars };
  const bindings = [
    ...Object.entries(vars).map(([name, value]) => `(name = ${capnpText(name)}, text = ${capnpText(value)})`),
    ...layout.secretNames.map((name) => `(name = ${capnpText(name)}, fromEnvironment = ${capnpText(name)})`),
    ...(settings.assets === undefined ? [] : [`(name = ${capnpText(settings.assets.binding)}, service = "assets")`]),
    ...settings.objects.map((object) => `(name = ${capnpText(object.binding)}, durableObjectNamespace = ${capnpText(object.className)})`),
  ];
  const namespaces = settings.objects.map(
    (object) => `(className = ${capnpText(object.className)}, uniqueKey = ${capnpText(`${settings.name}-${object.className}`)}, enableSql = ${object.sqlite})`,
  );
  const http = layout.factsHeader === undefined ? "()" : `(cfBlobHeader = ${capnpText(layout.factsHeader)})`;
  return `# Written by npm start from wrangler.toml; changes here are lost.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  v8Flags = [${[`--max-semi-space-size=${MAX_SEMI_SPACE_MB}`, ...(layout.v8Flags ?? [])].map(capnpText).join(", ")}],
  services = [
    (name = "edge", worker = .edge),
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
    (name = "objects", disk = (path = ${capnpText(layout.objectsFolder)}, writable = true)),
    (name = "assets", disk = (path = ${capnpText(layout.assetsFolder)}, writable = false)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = ${http}, service = "edge")],
);

const edge :Workerd.Worker = (
  modules = ${list(modules.map((module) => `(name = ${capnpText(module.name)}, ${module.kind} = embed ${capnpText(`${layout.modulesFolder}/${module.name}`)})`))},
  compatibilityDate = ${capnpText(settings.compatibilityDate)},
  compatibilityFlags = [${settings.compatibilityFlags.map(capnpText).join(", ")}],
  bindings = ${list(bindings)},
  durableObjectNamespaces = ${list(namespaces)},
  durableObjectStorage = (localDisk = "objects"),
);
`;
}
