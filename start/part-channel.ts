/**
 * What a demo part (the OpenID provider, the sample apps) and `npm start` say to each other:
 * the settings come in on standard input as JSON, the ports go back by process.send, and the
 * part ends when its parent does. Not for workerd or the connector.
 */
import { text } from "node:stream/consumers";

export interface PortsReport {
  readonly ports: Readonly<Record<string, number>>;
}

/** Reads the settings that the parent wrote to standard input. */
export async function readSettings(): Promise<unknown> {
  return JSON.parse(await text(process.stdin)) as unknown;
}

/** Reports the ports and arranges to end with the parent. */
export function reportPorts(ports: Readonly<Record<string, number>>): void {
  process.once("disconnect", () => process.exit(0));
  process.once("SIGTERM", () => process.exit(0));
  process.send?.({ ports } satisfies PortsReport);
}
