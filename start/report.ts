/** What a successful start tells: one line of JSON for programs, a short guide for people. */
import { DEMO_PASSWORD, DEMO_USERS } from "./demo-users.ts";
import type { Stack } from "./stack.ts";

/** The line of `--json`, without a newline. Holds the path of the operator's token, not the token. */
export function jsonReport(stack: Stack): string {
  return JSON.stringify({
    launcher: stack.launcher,
    apps: stack.apps.map(({ id, url }) => ({ id, url })),
    issuer: stack.issuer,
    users: stack.users,
    redirectUris: stack.redirectUris,
    connectors: stack.connectors.map(({ site, id, child, stateDirectory, metrics }) => ({ site, id, pid: child.pid, argv: child.argv, stateDir: stateDirectory, metrics })),
    env: { POSTERN_EDGE: stack.launcher, POSTERN_TOKEN_FILE: stack.tokenFile },
    ...(stack.factsHeader === undefined ? {} : { factsHeader: stack.factsHeader }),
  });
}

function demoGuide(stack: Stack): string[] {
  const app = (id: string): string => stack.apps.find((one) => one.id === id)?.url ?? stack.launcher;
  return [
    "",
    `People (password of each: ${DEMO_PASSWORD})`,
    ...DEMO_USERS.map((user) => `  ${user.name.padEnd(8)} ${user.hint}`),
    "",
    "To try",
    `  1. Open ${app("hello")} and sign in as alice: the app shows who it was told you are.`,
    `  2. Open ${app("reports")}: it asks for a second factor, and says so.`,
    `  3. Open ${app("partners")} as alice: it looks like a host that does not exist. bob gets in.`,
    `  4. Keep ${app("clock")} open, then: npx postern revoke user alice@example.com`,
    "  5. TCP: npx postern login --token-file alice.token, and as alice",
    "     echo hello | npx postern tcp tcp-echo --stdio --token-file alice.token",
    "  6. Does revoking work? npx postern drill",
  ];
}

/** The text for a person at a terminal. */
export function humanReport(stack: Stack): string {
  const lines = [
    `Postern is running at ${stack.launcher}`,
    "",
    "Apps",
    ...stack.apps.map(({ id, url, protocol }) => (protocol === "tcp" ? `  ${id.padEnd(12)} npx postern tcp ${id}` : `  ${id.padEnd(12)} ${url}`)),
    ...(stack.users.length > 0 ? demoGuide(stack) : []),
    "",
    "For the command line in another terminal",
    `  export POSTERN_EDGE=${stack.launcher}`,
    `  export POSTERN_TOKEN_FILE=${stack.tokenFile}`,
    ...(stack.factsHeader === undefined ? [] : ["", `Test facts are read from the header ${stack.factsHeader}`]),
    "",
    "Ctrl-C ends everything.",
  ];
  return lines.join("\n");
}
