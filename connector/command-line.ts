/**
 * Reads the connector's command line into one typed command. The only place that knows flags;
 * secrets never come this way (they come by file or stdin). Not for environment variables.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { ParseArgsOptionsConfig } from "node:util";
import { type AppId, parseAppId } from "../core/ids.ts";
import { addressKind } from "./address-guard.ts";
import { parseEndpoint } from "./allow-list.ts";
import type { AllowRule, Endpoint } from "./allow-list.ts";
import { usageFailure } from "./failure.ts";

export type Command =
  | { readonly kind: "help"; readonly topic: Topic }
  | { readonly kind: "enroll"; readonly url: string; readonly tokenFile: string; readonly allow: AllowRule; readonly name: string | undefined; readonly replace: boolean; readonly state: string | undefined; readonly ca: string | undefined; readonly json: boolean }
  | { readonly kind: "run"; readonly state: string | undefined; readonly metricsPort: number | undefined; readonly targets: ReadonlyMap<AppId, string>; readonly canary: Endpoint | undefined; readonly ca: string | undefined; readonly json: boolean }
  | { readonly kind: "status"; readonly state: string | undefined; readonly json: boolean }
  | { readonly kind: "endorse"; readonly key: string; readonly signWith: string | undefined; readonly edge: string | undefined; readonly site: string | undefined; readonly state: string | undefined; readonly json: boolean }
  | { readonly kind: "install"; readonly state: string | undefined; readonly canary: Endpoint | undefined; readonly ca: string | undefined; readonly print: boolean; readonly json: boolean };

export const TOPICS = ["enroll", "run", "install", "status"] as const;
export type Topic = (typeof TOPICS)[number] | "all";

const OPTIONS = {
  help: { type: "boolean", short: "h" },
  json: { type: "boolean" },
  state: { type: "string" },
  ca: { type: "string" },
  edge: { type: "string" },
  "token-file": { type: "string" },
  allow: { type: "string", multiple: true },
  "allow-site-config": { type: "boolean" },
  name: { type: "string" },
  replace: { type: "boolean" },
  "metrics-port": { type: "string" },
  target: { type: "string", multiple: true },
  canary: { type: "string" },
  print: { type: "boolean" },
  endorse: { type: "string" },
  "sign-with": { type: "string" },
  site: { type: "string" },
} as const satisfies ParseArgsOptionsConfig;

const USED: Readonly<Record<(typeof TOPICS)[number], readonly (keyof typeof OPTIONS)[]>> = {
  enroll: ["help", "json", "state", "ca", "edge", "token-file", "allow", "allow-site-config", "name", "replace"],
  run: ["help", "json", "state", "ca", "metrics-port", "target", "canary"],
  status: ["help", "json", "state", "endorse", "sign-with", "edge", "site"],
  install: ["help", "json", "state", "ca", "canary", "print"],
};

/** Parses arguments after the program's name. `environment` stands in for --edge and --token-file. Throws Failure (exit 2). */
export function parseCommandLine(argv: readonly string[], environment: Readonly<Record<string, string | undefined>>): Command {
  const [first, ...rest] = argv;
  if (first === undefined || first === "--help" || first === "-h" || first === "help") return { kind: "help", topic: topicOf(rest[0]) ?? "all" };
  const topic = topicOf(first);
  if (topic === undefined) throw usageFailure(`there is no command "${first}"`, `commands are ${TOPICS.join(", ")}`);
  const { values, positionals } = parse(rest);
  for (const name of Object.keys(values)) {
    if (!USED[topic].some((known) => known === name)) throw usageFailure(`--${name} means nothing to ${topic}`, `it takes ${USED[topic].map((known) => `--${known}`).join(", ")}`);
  }
  if (values.help === true) return { kind: "help", topic };
  const expected = topic === "enroll" ? 1 : 0;
  if (positionals.length > expected) throw usageFailure(`"${positionals[expected] ?? ""}" is one argument too many`, `${topic} takes ${expected === 1 ? "the edge's URL" : "options only"}`);
  const common = { state: values.state, json: values.json === true };
  switch (topic) {
    case "enroll": {
      const url = positionals[0] ?? values.edge ?? environment["POSTERN_EDGE"];
      if (url === undefined) throw usageFailure("the edge's URL is missing", "enroll must know where to enrol, e.g. https://access.example.com");
      const tokenFile = values["token-file"] ?? environment["POSTERN_TOKEN_FILE"];
      if (tokenFile === undefined) throw usageFailure("--token-file is missing", 'the one-time token comes from a file, or from stdin with "-", never from the command line');
      return { kind: "enroll", url, tokenFile, allow: allowRule(values.allow ?? [], values["allow-site-config"] === true), name: values.name, replace: values.replace === true, ca: values.ca, ...common };
    }
    case "run":
      return { kind: "run", metricsPort: port(values["metrics-port"]), targets: targetFiles(values.target ?? []), canary: canaryEndpoint(values.canary), ca: values.ca, ...common };
    case "status":
      if (values.endorse !== undefined) return { kind: "endorse", key: values.endorse, signWith: values["sign-with"], edge: values.edge, site: values.site, ...common };
      if (values["sign-with"] !== undefined || values.edge !== undefined || values.site !== undefined) throw usageFailure("--sign-with, --edge and --site go with --endorse", "status itself asks the connector that runs here");
      return { kind: "status", ...common };
    case "install":
      return { kind: "install", canary: canaryEndpoint(values.canary), ca: values.ca, print: values.print === true, ...common };
    default:
      return topic satisfies never;
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    throw usageFailure(error instanceof Error ? (error.message.split(". ")[0] ?? "unknown option") : "unknown option", "the command line cannot be read");
  }
}

function topicOf(text: string | undefined): (typeof TOPICS)[number] | undefined {
  return TOPICS.find((topic) => topic === text);
}

/** What may be dialled must be said: no --allow is an error, never "everything". */
function allowRule(texts: readonly string[], siteConfig: boolean): AllowRule {
  if (siteConfig && texts.length > 0) throw usageFailure("--allow and --allow-site-config exclude each other", "the first limits the connector to a list, the second trusts the site's configuration");
  if (siteConfig) return { kind: "site_config" };
  if (texts.length === 0) throw usageFailure("nothing may be dialled", "give --allow HOST:PORT for each app, or --allow-site-config to trust the site's signed configuration");
  const endpoints = texts.map((text): Endpoint => {
    const endpoint = parseEndpoint(text);
    if (endpoint === undefined) throw usageFailure(`--allow ${text} is no HOST:PORT`, "a host name, a dotted quad or an [IPv6 address], then a colon and a port from 1 to 65535");
    return endpoint;
  });
  return { kind: "list", endpoints };
}

function targetFiles(texts: readonly string[]): ReadonlyMap<AppId, string> {
  const files = new Map<AppId, string>();
  for (const text of texts) {
    const equals = text.indexOf("=");
    const app = parseAppId(text.slice(0, Math.max(0, equals)));
    const file = text.slice(equals + 1);
    if (app === undefined || file === "") throw usageFailure(`--target ${text} is no APP=FILE`, "the id of an app of the site, then = and the file that says what the app is");
    if (files.has(app)) throw usageFailure(`--target names ${app} twice`, "one file says what an app is");
    files.set(app, resolve(file));
  }
  return files;
}

/** A canary is for this machine's connectors alone. */
function canaryEndpoint(text: string | undefined): Endpoint | undefined {
  if (text === undefined) return undefined;
  const endpoint = parseEndpoint(text);
  if (endpoint === undefined || addressKind(endpoint.host) !== "loopback") throw usageFailure(`--canary ${text} is no HOST:PORT on loopback`, "127.0.0.1 or [::1], then a colon and a port from 1 to 65535, as in the upstream of the canary's apps");
  return endpoint;
}

function port(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = /^[0-9]{1,5}$/.test(text) ? Number(text) : 65_536;
  if (number > 65_535) throw usageFailure(`--metrics-port ${text} is no port`, "0 (any free one) to 65535");
  return number;
}
