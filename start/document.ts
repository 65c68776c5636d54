/**
 * The policy document that a local run serves: read, its domain made local, the demo parts that
 * it names found and later replaced by real addresses. Comments and everything else stay as they
 * are. What is valid is said by policy/, as everywhere.
 */
import { type Document, isMap, isScalar, isSeq, parseDocument as parseYaml, type Scalar } from "yaml";
import { ADMIN_APP } from "../core/ids.ts";
import { hostOf, type PolicyDocument, type Problem } from "../policy/document.ts";
import { parseDocument } from "../policy/parse-document.ts";
import { StartError } from "./start-error.ts";

/** Host names under this one stand for parts that npm start runs. */
export const DEMO_SUFFIX = ".demo.localhost";
const LOCAL_DOMAIN = "postern.localhost";
/** The service that stands for this machine's command line, when the document names it. */
export const LOCAL_OPERATOR = "local-operator";
const SAMPLE_PARTS = ["hello", "echo", "clock", "tcp-echo"] as const;
export type SamplePart = (typeof SAMPLE_PARTS)[number];
/** `canary`: the connectors' own, for `postern drill`. */
const OTHER_PARTS = ["idp", "canary"] as const;
export type DemoPart = SamplePart | (typeof OTHER_PARTS)[number];
const DEMO_PARTS: readonly DemoPart[] = [...OTHER_PARTS, ...SAMPLE_PARTS];

export const isSamplePart = (part: DemoPart): part is SamplePart => SAMPLE_PARTS.some((sample) => sample === part);
export const isDemoPart = (name: string): name is DemoPart => DEMO_PARTS.some((part) => part === name);

export interface LocalDocument {
  readonly domain: string;
  readonly sites: readonly string[];
  readonly apps: readonly { readonly id: string; readonly host: string; readonly protocol: "http" | "tcp" }[];
  readonly providers: readonly { readonly id: string; readonly issuer: string; readonly clientId: string; readonly secretName?: string }[];
  /** Names of all secrets that the document refers to. */
  readonly secretNames: readonly string[];
  readonly demoParts: readonly DemoPart[];
  /** Sites of which an app is the connectors' canary. */
  readonly canarySites: readonly string[];
  /** Whether a policy lets the service `local-operator` administer Postern. */
  readonly namesLocalOperator: boolean;
  /** The document's text with demo names replaced by 127.0.0.1 and these ports. */
  readonly render: (ports: Readonly<Partial<Record<DemoPart, number>>>) => string;
}

/** Calls `visit` for every node that is a plain value. */
function eachScalar(node: unknown, visit: (scalar: Scalar, key: string | undefined) => void, key?: string): void {
  if (isScalar(node)) visit(node, key);
  else if (isSeq(node)) for (const item of node.items) eachScalar(item, visit, key);
  else if (isMap(node)) for (const pair of node.items) eachScalar(pair.value, visit, isScalar(pair.key) ? String(pair.key.value) : undefined);
}

const demoPartOf = (value: unknown): DemoPart | undefined => {
  if (typeof value !== "string" || !URL.canParse(value)) return undefined;
  const { hostname } = new URL(value);
  if (!hostname.endsWith(DEMO_SUFFIX)) return undefined;
  const name = hostname.slice(0, -DEMO_SUFFIX.length);
  if (!isDemoPart(name)) throw new StartError(`${value} names no demo part`, `the demo parts are ${DEMO_PARTS.map((one) => one + DEMO_SUFFIX).join(", ")}`);
  return name;
};

/** Puts the address of a part in the place of its name. tcp URLs have no authority grammar of their own in WHATWG URL, so the address is replaced as text. */
export const withPort = (value: string, part: DemoPart, port: number | undefined): string =>
  port === undefined ? value : value.replace(new RegExp(`(?<![a-z0-9-])${part}${DEMO_SUFFIX.replaceAll(".", "\\.")}(:[0-9]+)?`, "g"), `127.0.0.1:${port}`);

function secretNames(document: Document): string[] {
  const names = new Set<string>();
  eachScalar(document.contents, (scalar, key) => {
    if (key === "secret" && typeof scalar.value === "string") names.add(scalar.value);
  });
  return [...names];
}

/** Whether a policy makes the service `local-operator` an operator: named by an allow for postern:admin. */
function namesLocalOperator(document: PolicyDocument): boolean {
  return document.policies.some((policy) => policy.effect === "allow" && policy.apps.includes(ADMIN_APP) && JSON.stringify(policy.when).includes(`"${LOCAL_OPERATOR}"`));
}

const worded = (problem: Problem): string => `${problem.file ?? ""}:${problem.line}:${problem.column} ${problem.message}${problem.fix === undefined ? "" : ` (${problem.fix})`}`;

/** Reads a document's text; `name` is used in messages. Throws StartError with every problem that the checker finds. */
export function localDocument(source: string, name: string): LocalDocument {
  const written = parseDocument(source, { file: name });
  if (!written.ok) throw new StartError(`the document cannot be served:\n${written.error.map(worded).join("\n")}`, `correct it, then look again: npx postern check ${name}`);
  const yaml = parseYaml(source);
  if (!written.value.document.domain.endsWith(".localhost")) yaml.set("domain", LOCAL_DOMAIN);
  const local = parseDocument(yaml.toString({ lineWidth: 0 }), { file: name });
  if (!local.ok) throw new StartError(`the document cannot be served at ${LOCAL_DOMAIN}:\n${local.error.map(worded).join("\n")}`, "give it a domain that ends in .localhost");
  const { document } = local.value;
  const parts = new Set<DemoPart>();
  eachScalar(yaml.contents, (scalar) => {
    const part = demoPartOf(scalar.value);
    if (part !== undefined) parts.add(part);
  });
  const render = (ports: Readonly<Partial<Record<DemoPart, number>>>): string => {
    const copy = yaml.clone();
    eachScalar(copy.contents, (scalar) => {
      const part = demoPartOf(scalar.value);
      const port = part === undefined ? undefined : ports[part];
      if (part !== undefined && port !== undefined) scalar.value = withPort(String(scalar.value), part, port);
    });
    return copy.toString({ lineWidth: 0 });
  };
  return {
    domain: document.domain,
    sites: document.sites.map((site) => site.id),
    apps: document.apps.map((app) => ({ id: app.id, host: hostOf(app, document), protocol: app.protocol })),
    providers: document.providers.map((provider) => ({
      id: provider.id,
      issuer: provider.issuer,
      clientId: provider.clientId,
      ...(provider.clientSecret === undefined ? {} : { secretName: provider.clientSecret.secret }),
    })),
    secretNames: secretNames(yaml),
    demoParts: [...parts],
    canarySites: [...new Set(document.apps.filter(({ upstreams }) => upstreams.some((upstream) => upstream.includes(`//canary${DEMO_SUFFIX}`))).map(({ site }) => site))],
    namesLocalOperator: namesLocalOperator(document),
    render,
  };
}
