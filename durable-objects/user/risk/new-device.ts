/** Sign `new_device`: a sign-in with a device or a program that this person never used. */
import { DAY_MS } from "../../../core/time.ts";
import { isKnown, isLearned } from "./history.ts";
import type { Sign } from "./sign.ts";

export const newDevice: Sign = { code: "new_device", weight: 15, lastsMs: DAY_MS, appears: ({ kind, device, at }, before) => kind === "sign_in" && isLearned(before) && !isKnown(before.devices, device, at) };
