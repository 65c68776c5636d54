/**
 * The policy document of the scenarios' world. P_FULL and P_LIMITED are groups; RSS1 is for P_FULL,
 * RSS2 for both, P_LIMITED reading (CAP2-RSS2). Each resource stands in the office and in the cloud.
 * From the provider `own` come enterprise-IDs, from `partner` federated ones (fed-*) and other-IDs.
 */
import { THIS_MACHINE_OPERATES } from "../../start/own-document.ts";

export const SECRETS = { NIST_SCIM_TOKEN: "scim-token-of-the-scenarios-for-tests" };
export const AUDIENCE = "https://receiver.example.com";
/** Bytes that a session may move to and from the app `quota`. */
export const QUOTA_BYTES = 262_144;

export interface Addresses {
  readonly own: string;
  readonly partner: string;
  readonly web: string;
  readonly echo: string;
}

const FULL = "[own:full, partner:full]";
const BOTH = "[own:full, own:limited, partner:full, partner:limited]";
/** Somebody at ordinary risk and alone. At a raised one, or beside another session, who signed in long ago goes on, reading, and nobody comes in anew. */
const TRUSTED = "any: [{ risk: [low], not: { risk_reason: second_session } }, { risk: { max: medium }, not: { session_age: { max: 1h } } }], session_age: { max: 12h }";
const COMPLIANT = "device: { registered: true, disk_encrypted: true, edr: true, max_age: 15m }";

export const documentOf = ({ own, partner, web, echo }: Addresses, more = ""): string => `version: 1
domain: postern.localhost
identity:
  providers:
    - { id: own, issuer: "${own}", client_id: postern, scopes: [openid, email, profile], email_domains: [example.com], scim: { token: { secret: NIST_SCIM_TOKEN } } }
    - { id: partner, issuer: "${partner}", client_id: postern, scopes: [openid, email, profile, groups], groups_claim: groups }
signals:
  - { id: own-feed, issuer: "${own}", jwks_uri: "${own}/jwks", audience: "${AUDIENCE}", provider: own }
  - { id: partner-feed, issuer: "${partner}", jwks_uri: "${partner}/jwks", audience: "${AUDIENCE}", provider: partner }
sites: [{ id: office }, { id: cloud }, { id: branch }]
apps:
  - { id: rss1, site: office, upstream: "${web}", tags: [rss1] }
  - { id: rss2, site: office, upstream: "${web}", tags: [rss2] }
  - { id: rss1-cloud, site: cloud, upstream: "${web}", tags: [rss1] }
  - { id: rss2-cloud, site: cloud, upstream: "${web}", tags: [rss2] }
  - { id: pipe, site: office, upstream: "${echo}", tags: [rss1] }
  - { id: public, site: office, upstream: "${web}" }
  - { id: partners, site: office, upstream: "${web}", tags: [partners] }
  - { id: partners-cloud, site: cloud, upstream: "${web}", tags: [partners] }
  - { id: ledger, site: office, upstream: "${web}", tags: [ledger] }
  - { id: quota, site: office, upstream: "${web}" }
  - { id: task, site: office, upstream: "${web}", tags: [task] }
  - { id: task-cloud, site: cloud, upstream: "${web}", tags: [task] }
  - { id: api, site: office, upstream: "${web}", tags: [api] }
  - { id: api-cloud, site: cloud, upstream: "${web}", tags: [api] }
  - { id: api-branch, site: branch, upstream: "${web}", tags: [api] }
  - { id: endpoint, site: branch, upstream: "${echo}" }
  - { id: data, site: office, upstream: "${web}", tags: [data] }
  - { id: data-cloud, site: cloud, upstream: "${web}", tags: [data] }
  - { id: archive, site: office, upstream: "${web}", tags: [archive] }
  - { id: archive-cloud, site: cloud, upstream: "${web}", tags: [archive] }
  - { id: vault, site: office, upstream: "${web}" }
  - { id: records, site: office, upstream: "${web}" }
policies:
  - { id: full-rss1, effect: allow, apps: ["tag:rss1"], when: { group: ${FULL}, ${TRUSTED}, ${COMPLIANT} } }
  - { id: full-rss2, effect: allow, apps: ["tag:rss2"], when: { group: ${FULL}, ${TRUSTED}, ${COMPLIANT} } }
  - { id: limited-rss2, effect: allow, apps: ["tag:rss2"], when: { group: [own:limited, partner:limited], ${TRUSTED}, ${COMPLIANT} }, limits: { read_only: true } }
  - { id: not-compliant-rss2, effect: allow, apps: ["tag:rss2"], when: { group: ${BOTH}, ${TRUSTED}, device: { registered: true } }, limits: { read_only: true } }
  - { id: raised-risk, effect: limit, apps: ["tag:rss1", "tag:rss2"], when: { any: [{ risk: [medium] }, { risk_reason: second_session }] }, limits: { read_only: true } }
  - { id: everybody, effect: allow, apps: [public], when: { anyone: true }, http: { paths: ["/**"] } }
  - { id: federated, effect: allow, apps: ["tag:partners"], when: { group: partner:fed-full, ${TRUSTED}, device: { registered: true, managed: true, disk_encrypted: true } } }
  - { id: federated-limited, effect: allow, apps: ["tag:partners"], when: { group: partner:fed-limited, ${TRUSTED}, ${COMPLIANT} }, limits: { read_only: true } }
  - { id: federated-byod, effect: allow, apps: ["tag:partners"], when: { group: partner:fed-full, ${TRUSTED}, device: { registered: true, managed: false, disk_encrypted: true } }, limits: { read_only: true } }
  - { id: ledger, effect: allow, apps: ["tag:ledger"], when: { group: ${FULL}, ${TRUSTED} } }
  - { id: quota, effect: allow, apps: [quota], when: { group: ${FULL}, ${COMPLIANT} }, limits: { max_bytes: ${QUOTA_BYTES} } }
  - { id: task, effect: allow, apps: ["tag:task"], when: { group: [own:task, partner:task] } }
  - { id: services, effect: allow, apps: ["tag:api"], when: { service: [billing] } }
  - { id: management, effect: allow, apps: [endpoint], when: { service: [management] } }
  - { id: low, effect: allow, apps: ["tag:data", "tag:archive"], when: { group: [own:user-a, own:user-b] }, http: { paths: ["/low/**"] } }
  - { id: high-by-person, effect: allow, apps: ["tag:data"], when: { group: own:user-a }, http: { paths: ["/high/**"] } }
  - { id: high-by-endpoint, effect: allow, apps: ["tag:archive"], when: { group: own:user-a, device: { registered: true, managed: true, disk_encrypted: true } }, http: { paths: ["/high/**"] } }
  - { id: actions, effect: allow, apps: [vault], when: { group: [own:full, own:user-a, partner:full] }, http: { paths: ["/low/**"] } }
  - { id: sensitive-actions, effect: allow, apps: [vault], when: { group: [own:full, own:user-a, partner:full], mfa: { max_age: 1h } }, http: { paths: ["/high/**"] } }
  - { id: viewing, effect: allow, apps: [records], when: { group: own:user-a, device: { registered: true, disk_encrypted: true } }, http: { methods: [GET], paths: ["/high/**"] } }
  - { id: changing, effect: allow, apps: [records], when: { group: own:user-a, device: { registered: true, managed: true, disk_encrypted: true }, ip_range: [192.0.2.0/24, 198.51.100.0/24] }, http: { paths: ["/high/**"] } }
  - { id: high-risk, effect: deny, apps: ["tag:rss1", "tag:rss2", "tag:partners", "tag:ledger"], when: { risk: [high] } }
  - { id: edr, effect: allow, apps: ["postern:admin"], when: { service: [edr] }, limits: { role: responder } }
  - ${THIS_MACHINE_OPERATES}
${more}`;
