/**
 * /.postern/scim/v2 (RFC 7644): a provider writes its users and groups. Whose directory it is,
 * the bearer says. A change is answered once it has taken effect on every live session.
 */
import { CONTROL_NAME } from "../../durable-objects/bindings.ts";
import type { DirectoryRequest } from "../../durable-objects/control/directory.ts";
import { readFilter, readPatch, readResource, reading, type ScimKind, ScimRefused } from "../../identity/scim-change.ts";
import { description, listResponse, MAX_RESULTS_COUNT, resource, scimError } from "../../identity/scim-resource.ts";
import type { CompiledPolicy } from "../../policy/compile.ts";
import type { Provider } from "../../policy/document.ts";
import type { Exchange } from "../exchange.ts";
import { newestPolicy } from "../policy-cache.ts";
import { bearerFits, readPushed, taken } from "../pushed.ts";
import { blank, json } from "../respond.ts";

export const SCIM_BASE = "/.postern/scim/v2";
const MAX_BODY_BYTES = 512 * 1024;
/** Each may list thousands of members. */
const MAX_WHOLE_GROUPS_COUNT = 10;

export async function scim(x: Exchange): Promise<Response> {
  // Control is asked what was applied last only for who shows a bearer.
  const known = directoryOf(x, x.policy);
  const provider = known instanceof Response ? known : directoryOf(x, await newestPolicy(x.env, x.now));
  if (provider instanceof Response) return provider;
  const [kind = "", id, more] = x.url.path.slice(SCIM_BASE.length + 1).split("/");
  const described = x.method === "GET" && id === undefined ? description(kind) : undefined;
  if (described !== undefined) return said(x, 200, described);
  if ((kind !== "Users" && kind !== "Groups") || more !== undefined || (x.method === "POST" ? id !== undefined : x.method !== "GET" && id === undefined)) {
    return said(x, 404, scimError({ status: 404, detail: "no such resource" }));
  }
  const body = x.method === "GET" || x.method === "DELETE" ? "" : await readPushed(x, ["application/scim+json", "application/json"], MAX_BODY_BYTES);
  const request = reading(() => {
    if (typeof body === "number") throw new ScimRefused("expected application/scim+json, at most 512 KiB, not encoded", undefined, body);
    return readRequest(x, kind, id, body);
  });
  const answer = request.ok ? await x.env.CONTROL.getByName(CONTROL_NAME).provision(provider.id, request.value) : request;
  if (!answer.ok) return said(x, answer.error.status, scimError(answer.error));
  const base = x.launcher + SCIM_BASE;
  const resources = answer.value.entries.map((one) => resource(base, kind, one));
  if (request.ok && request.value.do === "list") return said(x, 200, listResponse(resources, answer.value.total, request.value.start));
  if (x.method === "DELETE" || (x.method === "PATCH" && kind === "Groups")) return taken(x, 204);
  return x.method === "POST" ? said(x, 201, resources[0], { location: `${base}/${kind}/${answer.value.entries[0]?.id ?? ""}` }) : said(x, 200, resources[0]);
}

/** The provider whose bearer it is, or the refusal. */
function directoryOf(x: Exchange, policy: CompiledPolicy | undefined): Provider | Response {
  const all = policy?.document.providers.filter((one) => one.scim !== undefined) ?? [];
  if (all.length === 0) return blank(x);
  const [provider, another] = all.filter((one) => bearerFits(x, one.scim?.token.secret ?? ""));
  // Two with the same secret: nobody can say whose directory is meant.
  return provider === undefined || another !== undefined ? said(x, 401, scimError({ status: 401, detail: "bearer" }), { "www-authenticate": "Bearer" }) : provider;
}

function readRequest(x: Exchange, kind: ScimKind, id: string | undefined, body: string): DirectoryRequest {
  if (x.method === "GET") {
    const query = new URLSearchParams(x.url.query);
    const names = (name: string): boolean => /\bmembers\b/.test(query.get(name) ?? "");
    const members = !names("excludedAttributes") && (!query.has("attributes") || names("attributes"));
    if (id !== undefined) return { do: "get", kind, id, members };
    const number = (name: string, otherwise: number): number => Math.max(0, Math.trunc(Number(query.get(name) ?? otherwise)) || 0);
    const most = members && kind === "Groups" ? MAX_WHOLE_GROUPS_COUNT : MAX_RESULTS_COUNT;
    const filter = query.get("filter");
    return { do: "list", kind, start: Math.max(1, number("startIndex", 1)), count: Math.min(number("count", most), most), members, ...(filter === null ? {} : { filter: readFilter(kind, filter) }) };
  }
  if (x.method === "DELETE") return { do: "delete", kind, id: id ?? "" };
  const value = parsed(body);
  const change = x.method === "PATCH" ? readPatch(kind, value) : readResource(kind, value);
  return id === undefined ? { do: "create", kind, change } : { do: "change", kind, id, change };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const said = (x: Exchange, status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Response => json(x, value, status, { ...headers, "content-type": "application/scim+json" });
