/** Signer: the names of its stored values (STORAGE.md "signer"). */
import type { KeyUse } from "../../identity/keys.ts";

export const RING_KEYS: Readonly<Record<KeyUse, string>> = { assertion: "ring:assertion", admission: "ring:admission" };
