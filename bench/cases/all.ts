/** Every case, in the order in which they run. What each is, is beside this file. */
import type { Case } from "./case.ts";
import { closed, recorded, steady } from "./small-requests.ts";
import { TCP_CASES } from "./tcp.ts";
import { duringDownload, stalled, transfer } from "./transfers.ts";
import { WEBSOCKET_CASES } from "./websockets.ts";

export const CASES: readonly Case[] = [
  closed(1),
  closed(32),
  closed(256),
  steady,
  transfer("down", 1, 200),
  transfer("down", 8, 50),
  transfer("down", 64, 10),
  transfer("up", 1, 200),
  transfer("up", 8, 50),
  ...TCP_CASES,
  duringDownload,
  ...WEBSOCKET_CASES,
  stalled("down"),
  stalled("up"),
  recorded,
];
