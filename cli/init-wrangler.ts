/** The deployment's wrangler.toml: the package's own, with the routes of the chosen kind. Edits text, so that comments stay. */
import { Failure } from "./failure.ts";
import type { InitPlan } from "./init-plan.ts";

const BEGIN = "# routes: written by postern init";
const END = "# routes: end";

/** Host names that the document makes: the launcher, then each app. */
export const hostNames = ({ domain, apps }: InitPlan): string[] => [domain, ...apps.map((app) => `${app.id}.${domain}`)];

/** The block of routes, markers included. */
export function routesBlock(plan: InitPlan): string {
  const text = JSON.stringify;
  const { routes, domain, zone } = plan;
  const entries =
    routes === "custom-domains"
      ? hostNames(plan).map((host) => `  { pattern = ${text(host)}, custom_domain = true },`)
      : [domain, `*.${domain}`].map((host) => `  { pattern = ${text(`${host}/*`)}, zone_name = ${text(zone)} },`);
  const comment =
    routes === "custom-domains"
      ? ["# One custom domain for the launcher and for each app: wrangler makes the DNS record and the certificate.", "# Each name is public in Certificate Transparency logs. A new app needs a line here and a deploy."]
      : ["# One wildcard for all apps. Needs proxied DNS records for both names, and a certificate that covers them.", "# The routes must fail closed (dashboard: Workers Routes, \"Request limit failure mode\")."];
  return [BEGIN, ...comment, "routes = [", ...entries, "]", END].join("\n");
}

/** `template` with the block in the place of an earlier one or of its commented example. Throws Failure when the file has routes of its own. */
export function withRoutes(template: string, plan: InitPlan, main: string): string {
  const withoutOld = template.replace(new RegExp(`^${BEGIN}\\n[\\s\\S]*?^${END}\\n`, "m"), "");
  if (/^routes?\s*=/m.test(withoutOld) || /^\[\[routes\]\]/m.test(withoutOld)) {
    throw new Failure("own_routes", "wrangler.toml has routes of its own", "which of them should stay is yours to say", ["move them away, or give another folder with --out"]);
  }
  const withoutExample = withoutOld.replace(/^# Your zone:[^\n]*\n(?:#[^\n]*\n)*/m, "");
  const set = (text: string, key: string, value: string): string =>
    new RegExp(`^${key}\\s*=`, "m").test(text) ? text.replace(new RegExp(`^(${key}\\s*=\\s*)(?:"[^"]*"|true|false)`, "m"), `$1${value}`) : `${key} = ${value}\n${text}`;
  const base = set(set(set(withoutExample, "main", JSON.stringify(main)), "workers_dev", "false"), "preview_urls", "false");
  // Keys of the top level must stand before the first table.
  const table = /^\[/m.exec(base)?.index ?? base.length;
  return `${base.slice(0, table).trimEnd()}\n\n${routesBlock(plan)}\n\n${base.slice(table)}`;
}

/** What must exist at Cloudflare besides the Worker, in words. */
export function routeNeeds(plan: InitPlan): string[] {
  const { routes, domain, zone } = plan;
  if (routes === "custom-domains") {
    return [
      `The names ${hostNames(plan).join(", ")} must not have DNS records yet: wrangler makes them, with a certificate each.`,
      "Every one of these names becomes public in Certificate Transparency logs; use wildcard if app names are to stay private.",
    ];
  }
  return [
    `DNS: two proxied records, AAAA ${domain} 100:: and AAAA *.${domain} 100:: (no server stands there; the Worker answers).`,
    domain === zone
      ? `Certificate: Universal SSL covers ${domain} and *.${domain}.`
      : `Certificate: Universal SSL covers ${zone} and one level below it, so *.${domain} needs an advanced certificate for ${domain} and *.${domain}.`,
  ];
}
