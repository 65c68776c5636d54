/** Every case, in the order in which they run: those that goals are about first, should time run short. What each is, is beside this file. */
import type { Case } from "./case.ts";
import { closed, recorded, steady } from "./small-requests.ts";
import { TCP_CASES } from "./tcp.ts";
import { duringDownload, stalled, transfer } from "./transfers.ts";
import { WEBSOCKET_CASES } from "./websockets.ts";

export const CASES: readonly Case[] = [
  closed(32),
  steady,
  transfer("down", 1, 200),
  transfer("up", 1, 200),
  duringDownload,
  ...TCP_CASES,
  recorded,
  closed(1),
  closed(256),
  transfer("down", 8, 50),
  transfer("down", 64, 10),
  transfer("up", 8, 50),
  ...WEBSOCKET_CASES,
  stalled("down"),
  stalled("up"),
];
