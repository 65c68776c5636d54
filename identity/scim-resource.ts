/** What SCIM answers look like (RFC 7643, RFC 7644): entries, lists, errors, and what this server can. */
import type { ScimChange, ScimKind, ScimProblem } from "./scim-change.ts";

/** An entry of a provider's directory. */
export interface ScimEntry extends Readonly<Omit<ScimChange, "members">> {
  readonly id: string;
  readonly members?: readonly string[];
}

const CORE = "urn:ietf:params:scim:schemas:core:2.0:";
const MESSAGES = "urn:ietf:params:scim:api:messages:2.0:";
export const MAX_RESULTS_COUNT = 200;

export function resource(base: string, kind: ScimKind, { id, name, externalId, active, display, given, family, email, members }: ScimEntry): unknown {
  const own = {
    User: { userName: name, name: { givenName: given ?? "", familyName: family ?? "" }, displayName: display ?? undefined, emails: email ? [{ value: email, type: "work", primary: true }] : [], active },
    Group: { displayName: name, members: members?.map((value) => ({ value, type: "User" })) },
  };
  const resourceType = kind === "Users" ? "User" : "Group";
  return { schemas: [CORE + resourceType], id, externalId: externalId ?? undefined, ...own[resourceType], meta: { resourceType, location: `${base}/${kind}/${id}` } };
}

export function listResponse(resources: readonly unknown[], totalResults = resources.length, startIndex = 1): unknown {
  return { schemas: [`${MESSAGES}ListResponse`], totalResults, itemsPerPage: resources.length, startIndex, Resources: resources };
}

export function scimError({ status, ...problem }: Omit<ScimProblem, "status"> & { readonly status: number }): unknown {
  return { schemas: [`${MESSAGES}Error`], status: String(status), ...problem };
}

/** ServiceProviderConfig, ResourceTypes and Schemas; undefined for any other name. */
export function description(name: string): unknown {
  const supported = { supported: true };
  const no = { supported: false };
  const types = [["User", "userName externalId displayName active name emails"], ["Group", "displayName externalId members"]] as const;
  switch (name) {
    case "ServiceProviderConfig":
      return { schemas: [CORE + name], patch: supported, bulk: { ...no, maxOperations: 0, maxPayloadSize: 0 }, filter: { ...supported, maxResults: MAX_RESULTS_COUNT }, changePassword: no, sort: no, etag: no, authenticationSchemes: [{ type: "oauthbearertoken", name: "Bearer", description: "" }] };
    case "ResourceTypes":
      return listResponse(types.map(([id]) => ({ schemas: [`${CORE}ResourceType`], id, name: id, endpoint: `/${id}s`, schema: CORE + id })));
    case "Schemas":
      return listResponse(types.map(([id, attributes]) => ({
        schemas: [`${CORE}Schema`],
        id: CORE + id,
        name: id,
        attributes: attributes.split(" ").map((one, i) => ({ name: one, type: one === "active" ? "boolean" : /^(?:name|emails|members)$/.test(one) ? "complex" : "string", multiValued: /^(?:emails|members)$/.test(one), required: i === 0 })),
      })));
    default:
      return undefined;
  }
}
