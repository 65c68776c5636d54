/**
 * `npm run signals [-- --check]`: writes the table "every signal, every protocol: the tests that prove
 * it" into docs/freshness.md, from the titles of tests. A test says what it proves by beginning its
 * title, or a title among its rows of data, with the signal, " · " and the protocols:
 *
 *     it("user · websocket, tcp: ends what is open, and the receipt counts it", …)
 *
 * Signals and protocols are those below; a title that names another is an error. What becomes of the
 * connection is said in the cell if the title has it: "cut after", "frozen after", "limited after", "kept after". `--check` changes
 * nothing and exits 1 when the page is not what the titles say.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const PROJECT = join(import.meta.dirname, "..");
const PAGE = "docs/freshness.md";
export const BEGIN = "<!-- signals: written by npm run signals -->";
export const END = "<!-- end of signals -->";
const FOLDERS = ["test/e2e", "test/bench"];

export const PROTOCOLS = ["http", "sse", "websocket", "tcp", "ssh"] as const;
/** Every signal that changes trust, and where it comes from. */
export const SIGNALS: Readonly<Record<string, string>> = {
  session: "`postern revoke session`",
  user: "`postern revoke user`",
  device: "`postern revoke device`",
  service: "`postern revoke service`",
  connector: "`postern revoke connector`",
  app: "`postern revoke app`",
  grant: "`postern revoke grant`",
  policy: "`postern apply`",
  "scim-deactivate": "SCIM: a person is deactivated",
  "scim-group": "SCIM: a person leaves a group",
  "backchannel-logout": "the provider's back-channel logout",
  "ssf-session-revoked": "CAEP session-revoked",
  "ssf-credential-change": "CAEP credential-change",
  "ssf-assurance-level-change": "CAEP assurance-level-change",
  "ssf-device-compliance-change": "CAEP device-compliance-change",
  "ssf-token-claims-change": "CAEP token-claims-change",
  "ssf-account-disabled": "RISC account-disabled",
  "ssf-account-credential-change-required": "RISC account-credential-change-required",
  posture: "the device agent's report",
  verdict: "a verdict on a device, pushed to the API",
  target: "what a connector says of an app (`target`)",
  risk: "risk",
  "fact-expiry": "a fact that nobody renews",
  "grant-expiry": "a grant that runs out",
  "session-end": "the session's end",
  "session-idle": "the session's end for idleness",
  "identity-lost": "the identity provider is away",
  "audit-lost": "the record cannot be written",
  "control-lost": "control grants no lease on the policy",
};

export interface TestFile {
  readonly file: string;
  readonly text: string;
}

export type Outcome = "cut" | "frozen" | "limited" | "kept";

export interface Proof {
  readonly signal: string;
  readonly protocol: string;
  readonly file: string;
  /** What becomes of the connection, where the title says so. */
  readonly outcome?: Outcome;
}

/** The proofs that a file's titles claim; throws an Error that names a title with an unknown signal or protocol. */
export function proofsIn({ file, text }: TestFile): readonly Proof[] {
  return [...text.matchAll(/(["'`])([a-z][a-z-]*) · ((?:(?!\1)[^\n])*)\1/g)].flatMap(([, , signal = "", rest = ""]) =>
    (rest.split(":")[0] ?? "").split(",").map((one) => {
      const protocol = one.trim();
      if (SIGNALS[signal] === undefined) throw new Error(`${file}: there is no signal ${signal}; there are ${Object.keys(SIGNALS).join(", ")}`);
      if (!PROTOCOLS.some((known) => known === protocol)) throw new Error(`${file}: ${signal} · there is no protocol ${protocol}; there are ${PROTOCOLS.join(", ")}`);
      const outcome = /\b(cut|frozen|limited|kept) after\b/.exec(rest)?.[1] as Outcome | undefined;
      return { signal, protocol, file, ...(outcome === undefined ? {} : { outcome }) };
    }),
  );
}

const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

/** The table of these tests: a row a signal, a cell a protocol, each naming its files. */
export function tableOf(files: readonly TestFile[]): string {
  const proofs = files.flatMap(proofsIn);
  const cell = (signal: string, protocol: string): string => {
    const those = proofs.filter((proof) => proof.signal === signal && proof.protocol === protocol);
    const each = (values: readonly (string | undefined)[]): string[] => [...new Set(values)].filter((one) => one !== undefined).toSorted();
    const outcomes = each(those.map(({ outcome }) => outcome)).join(", ");
    const found = each(those.map(({ file }) => file)).map((file) => `[${basename(file, ".test.ts")}](../${file})`);
    return found.length === 0 ? "–" : `${outcomes === "" ? "" : `${outcomes}: `}${found.join(" ")}`;
  };
  return [
    line(["signal", "from", ...PROTOCOLS]),
    line(["---", "---", ...PROTOCOLS.map(() => "---")]),
    ...Object.entries(SIGNALS).map(([signal, from]) => line([`\`${signal}\``, from, ...PROTOCOLS.map((protocol) => cell(signal, protocol))])),
  ].join("\n");
}

/** Every test file whose titles count. */
export function testFiles(): readonly TestFile[] {
  return FOLDERS.flatMap((folder) => readdirSync(join(PROJECT, folder), { recursive: true, encoding: "utf8" }).map((name) => `${folder}/${name}`))
    .filter((file) => file.endsWith(".test.ts"))
    .toSorted()
    .map((file) => ({ file, text: readFileSync(join(PROJECT, file), "utf8") }));
}

/** The page with the table in its place. */
export function pageWith(page: string, table: string): string {
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${PAGE} has lost its marks ${BEGIN} and ${END}`);
  return `${page.slice(0, from)}${BEGIN}\n\n${table}\n\n${page.slice(to)}`;
}

if (process.argv[1] === import.meta.filename) {
  const page = readFileSync(join(PROJECT, PAGE), "utf8");
  const wanted = pageWith(page, tableOf(testFiles()));
  if (!process.argv.includes("--check")) writeFileSync(join(PROJECT, PAGE), wanted);
  else if (wanted !== page) {
    process.stderr.write(`${PAGE} is not what the titles of the tests say; write it: npm run signals\n`);
    process.exitCode = 1;
  }
}
