/** What `postern init` is told, checked: from options and, at a terminal, from answers. Writes nothing. */
import { parseAppId, parseSiteId } from "../core/ids.ts";
import { usageFailure } from "./failure.ts";
import type { Io } from "./io.ts";

export type RouteKind = "custom-domains" | "wildcard";

export interface InitPlan {
  readonly routes: RouteKind;
  readonly domain: string;
  /** The Cloudflare zone that holds the domain. */
  readonly zone: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly site: string;
  readonly apps: readonly { readonly id: string; readonly upstream: string }[];
  readonly operatorEmails: readonly string[];
  readonly operatorGroups: readonly string[];
}

export interface InitOptions {
  readonly routes?: string;
  readonly domain?: string;
  readonly zone?: string;
  readonly issuer?: string;
  readonly clientId?: string;
  readonly site?: string;
  readonly app: readonly string[];
  readonly operatorEmail: readonly string[];
  readonly operatorGroup: readonly string[];
  readonly out: string;
  readonly yes?: boolean;
  readonly force?: boolean;
}

const DOMAIN = /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const EMAIL = /^[^\s@"']+@[^\s@"']+\.[^\s@"']+$/;

/** The plan; asks for what is missing when there is a person to ask. Throws Failure (exit 2). */
export async function initPlan(options: InitOptions, io: Io): Promise<InitPlan> {
  const person = options.yes === true ? undefined : io.ask;
  const missing: string[] = [];
  const need = async (given: string | undefined, option: string, question: string, fallback?: string): Promise<string> => {
    if (given !== undefined) return given;
    const answer = person === undefined ? "" : (await person(`${question}${fallback === undefined ? "" : ` [${fallback}]`}: `)).trim();
    if (answer !== "") return answer;
    if (fallback === undefined) missing.push(option);
    return fallback ?? "";
  };
  const domain = (await need(options.domain, "--domain", "Domain of the launcher; apps are <id>.<domain>")).toLowerCase();
  const routes = await need(options.routes, "--routes custom-domains|wildcard", "Routes: custom-domains (a certificate and a public name each) or wildcard", person === undefined ? undefined : "custom-domains");
  const zone = (await need(options.zone, "--zone", "Cloudflare zone that holds it", guessZone(domain))).toLowerCase();
  const issuer = await need(options.issuer, "--issuer", "OpenID Connect issuer, such as https://login.example.com");
  const clientId = await need(options.clientId, "--client-id", "Client id there");
  const site = await need(options.site, "--site", "Name of the first site", "office");
  const apps = [...options.app];
  if (person !== undefined && apps.length === 0) {
    for (;;) {
      const answer = (await person("An app, as id=upstream (wiki=http://10.0.0.5:8080); empty to go on: ")).trim();
      if (answer === "") break;
      apps.push(answer);
    }
  }
  const operatorEmails = [...options.operatorEmail];
  if (operatorEmails.length === 0 && options.operatorGroup.length === 0) {
    const answer = await need(undefined, "--operator-email or --operator-group", "Email of the first operator");
    if (answer !== "") operatorEmails.push(answer);
  }
  if (missing.length > 0) throw usageFailure(`init must be told more: ${missing.join(", ")}`, person === undefined ? "there is nobody to ask" : "an answer was empty", "postern init --help");
  return checked({ routes, domain, zone, issuer, clientId, site, apps, operatorEmails, operatorGroups: options.operatorGroup });
}

/** The domain without its first label, if that leaves a name with a dot. */
function guessZone(domain: string): string {
  const parent = domain.slice(domain.indexOf(".") + 1);
  return parent.includes(".") ? parent : domain;
}

function checked(told: Omit<InitPlan, "routes" | "apps"> & { readonly routes: string; readonly apps: readonly string[] }): InitPlan {
  const { routes, domain, zone, site, operatorEmails } = told;
  if (routes !== "custom-domains" && routes !== "wildcard") throw usageFailure("--routes is neither custom-domains nor wildcard", "a custom domain each, or one wildcard route");
  if (!DOMAIN.test(domain)) throw usageFailure("--domain is no domain name", "lower-case labels with a dot, without scheme and port", "--domain access.example.com");
  if (!DOMAIN.test(zone) || (domain !== zone && !domain.endsWith(`.${zone}`))) throw usageFailure(`the zone ${zone} does not hold ${domain}`, "it must be the domain or a parent of it", "--zone example.com");
  if (parseSiteId(site) === undefined) throw usageFailure("--site is no site id", "lower-case letters, digits and inner hyphens");
  for (const email of operatorEmails) if (!EMAIL.test(email)) throw usageFailure("--operator-email is no email address", "it looks like ada@example.com");
  const apps = told.apps.map((text) => {
    const cut = text.indexOf("=");
    const id = text.slice(0, Math.max(0, cut));
    if (cut < 1 || id.includes(":") || parseAppId(id) === undefined) throw usageFailure("--app is not id=upstream", "the id is a DNS label", "--app wiki=http://10.0.0.5:8080");
    return { id, upstream: text.slice(cut + 1) };
  });
  return { ...told, routes, apps, operatorEmails: operatorEmails.map((one) => one.toLowerCase()) };
}
