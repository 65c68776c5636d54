/** Windows' own PowerShell, by its place: one expression in, its words out, in no language. */
import { outputOf } from "./check.ts";
import type { System } from "./system.ts";

/** The text that an expression gives; undefined if it fails. Expressions are ours, never made of what somebody configured. */
export function powershell(system: System, expression: string): Promise<string | undefined> {
  return outputOf(system, `${systemFolder(system)}\\WindowsPowerShell\\v1.0\\powershell.exe`, "-NoProfile", "-NonInteractive", "-Command", `$ErrorActionPreference='Stop'; ${expression}`);
}

export const systemFolder = (system: System): string => `${system.env("SystemRoot") ?? "C:\\Windows"}\\System32`;
