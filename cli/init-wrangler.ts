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

const HAS_ROUTES = /^(?:routes?\s*=|\[\[routes\]\])/m;
/** The commented example that the package's file comes with. */
const EXAMPLE = /^# Your zone:[^\n]*\n(?:#[^\n]*\n)*\n?/m;
const EARLIER = new RegExp(`^${BEGIN}\\n[\\s\\S]*?^${END}\\n\\n?`, "m");

/**
 * `template` with the block in the place of an earlier one, else below preview_urls. `base` leads
 * from the new file's folder to the clone, "" when it is the clone. Throws Failure when the file
 * has routes of its own.
 */
export function withRoutes(template: string, plan: InitPlan, base: string): string {
  const bare = template.replace(EARLIER, "").replace(EXAMPLE, "");
  if (HAS_ROUTES.test(bare)) {
    throw new Failure("own_routes", "wrangler.toml has routes of its own", "which of them should stay is yours to say", ["move them away, or give another folder with --out"]);
  }
  const shut = setFalse(setFalse(bare, "preview_urls"), "workers_dev");
  const moved = base === "" ? shut : withBase(shut, base);
  return moved.replace(/^preview_urls\s*=.*\n\n?/m, (line) => `${line.trimEnd()}\n\n${routesBlock(plan)}\n\n`);
}

/** A second public host name would be a second front door. */
function setFalse(text: string, key: string): string {
  const line = new RegExp(`^(${key}\\s*=\\s*)(?:true|false)`, "m");
  return line.test(text) ? text.replace(line, "$1false") : `${key} = false\n${text}`;
}

/** Paths that wrangler reads relative to the file; build.command runs where wrangler is called, in the clone. */
function withBase(text: string, base: string): string {
  const moved = (path: string): string => JSON.stringify(`${base}/${path.replace(/^\.\//, "")}`);
  return text
    .replace(/^((?:main|directory)\s*=\s*)"([^"]+)"/gm, (_whole, key: string, path: string) => `${key}${moved(path)}`)
    .replace(/^(watch_dir\s*=\s*)\[([^\]]*)\]/m, (_whole, key: string, list: string) => `${key}[${list.replace(/"([^"]+)"/g, (_item, path: string) => moved(path))}]`);
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
