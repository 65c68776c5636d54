/**
 * Where the connector starts: looks at the Node it runs under before anything is loaded that an
 * older one has not, and says so in one sentence. The program itself is program.ts.
 */

/** The first Node with all that the connector uses (package.json, `engines`). */
const OLDEST = [22, 19] as const;

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
  process.stderr.write(`error: the connector needs Node ${OLDEST.join(".")} or newer; this is ${process.version}\n`);
  process.exitCode = 1;
} else {
  await import("./program.ts");
}
