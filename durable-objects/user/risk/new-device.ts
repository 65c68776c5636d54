/** Sign `new_device`: a sign-in with a device or a program that this person never used. */
import { isKnown, isLearned } from "./history.ts";
import { DAY_MS, type Sign } from "./sign.ts";

export const newDevice: Sign = { code: "new_device", weight: 15, lastsMs: DAY_MS, appears: ({ kind, device, at }, before) => kind === "sign_in" && isLearned(before) && !isKnown(before.devices, device, at) };
