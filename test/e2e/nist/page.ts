/** docs/nist.md, made of the scenarios' data: `node test/e2e/nist/page.ts` writes it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { FAMILIES, type Family, gatewayScenarios, given, NOT_SUPPORTED, type Row, rowsOf, TOLD_BY, wanted } from "./rows.ts";

export const PAGE = join(import.meta.dirname, "../../../docs/nist.md");

const NAMES: Readonly<Record<Family, string>> = {
  a: "Discovery, and authentication of assets",
  b: "Enterprise-IDs",
  c: "Federated IDs",
  d: "Other-IDs: contractors and guests",
  f: "Confidence changes during a session",
  g: "Services",
  h: "Levels of data",
};

const resultOf = ({ by, unsupported }: Row): string => (unsupported === undefined ? (by === undefined ? "passes" : `passes, told (${by})`) : `not supported: ${NOT_SUPPORTED[unsupported]}`);

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string => [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

/** "12 (48)": rows, and the demonstrations that they stand for. */
const counted = (rows: readonly Row[]): string => `${rows.length} (${rows.reduce((sum, { demonstrations }) => sum + demonstrations, 0)})`;

function summary(): string {
  const line = (name: string, rows: readonly Row[]): string[] => [
    name,
    counted(rows.filter(({ by, unsupported }) => unsupported === undefined && by === undefined)),
    counted(rows.filter(({ by, unsupported }) => unsupported === undefined && by !== undefined)),
    counted(rows.filter(({ unsupported }) => unsupported !== undefined)),
  ];
  const all = FAMILIES.flatMap((family) => rowsOf(family));
  return table(["use case", "passes", "passes, told", "not supported"], [...FAMILIES.map((family) => line(`${family.toUpperCase()}: ${NAMES[family]}`, rowsOf(family))), line("all", all)]);
}

const section = (family: Family): string => `### ${family.toUpperCase()}: ${NAMES[family]}

${table(["demonstrations", "given", "wanted by NIST", "result"], rowsOf(family).map((row) => [row.id, given(row), wanted(row), resultOf(row)]))}`;

export function nistPage(): string {
  const gateway = gatewayScenarios();
  return `# The scenarios of NIST SP 1800-35

NIST's guide *Implementing a Zero Trust Architecture* demonstrates what such an architecture must do in tables of scenarios (volume D, use cases A to H). Postern runs them as tests: the whole product with workerd, connectors at three sites, endpoints that enrol and sign their reports, a directory, two identity providers of the test, and for every row the outcome that NIST wants, as the client sees it and, for requests, as the record has it. \`npx vitest run test/e2e/nist\` runs all of it.

A row stands for all of NIST's demonstrations that differ from it in place alone; the number in brackets counts those. Requests are tried from each place of the row to each place of the resource, where a place is the address, network and country that the platform says of the connection. What happens in a session is tried once, on a live WebSocket and, where the row has an endpoint, a live TCP connection.

${summary()}

*Passes, told*: from the moment Postern is told, the outcome is its own, and that is what the test shows; that it is so, it cannot find out itself:

${Object.entries(TOLD_BY)
  .map(([name, what]) => `- **${name}**: ${what}.`)
  .join("\n")}

How some of NIST's words are taken:

- An endpoint fails to authenticate when its key turns out to be on two machines; a connector, when its proof is not its key's, or when it was revoked.
- A second sign-in elsewhere is found by the risk of two sessions in use in two countries and networks, one at the same place by its reason \`second_session\`, which policies may name. The policy of the test then lets whoever signed in more than an hour ago read on, and nobody come in anew.
- An attempt at what somebody may not is flagged at the tenth within five minutes ([risk.md](risk.md#the-signs)), and live connections end a moment later.
- Pods are services with tokens of their own. An endpoint that a service reaches runs a connector; whose it is makes no difference.
- A redacted view is another path of the app, as the app itself would redact.

What an endpoint says of its own compliance is its own word: [devices.md](devices.md#what-this-is-worth) says what that is worth. *Limited* is reading: \`GET\` passes, everything else is refused with \`read_only\`, and live connections end. *Network* is the company's apps, and the public network a path that is anybody's: Postern is in front of apps, not of a network.

Not run are the scenarios about the public internet, which a company's own gateway guards: ${gateway.map(({ scenario, demonstrations }) => `${scenario} (${demonstrations})`).join(", ")}.

## Row by row

E1 and O1 have P_FULL, E2 and O2 P_LIMITED, E3 and O3 are deactivated; 6 and 7 are P_FULL whose credentials are stolen (E: enterprise-ID, O: other-ID). A+ and A- is a sign-in that succeeds or fails, RA+ and RA- one again, A one that was. EP is the enterprise's endpoint, BYOD a private one, both enrolled; Guest is neither; RSS is a resource.

${FAMILIES.map(section).join("\n\n")}
`;
}

if (import.meta.main) writeFileSync(PAGE, nistPage());
