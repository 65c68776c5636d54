/** All long proofs, in the order in which they run. */
import { crowd } from "./crowd.ts";
import { edgeRestarts } from "./edge-restarts.ts";
import { fuzz } from "./fuzz.ts";
import { idleSockets } from "./idle-sockets.ts";
import { killAudit } from "./kill-audit.ts";
import type { Soak } from "./soak.ts";
import { sessions100k } from "./sessions-100k.ts";
import { stalled } from "./stalled.ts";
import { stampede } from "./stampede.ts";

export const SOAKS: readonly Soak[] = [fuzz, stampede, crowd, stalled, killAudit, edgeRestarts, idleSockets, sessions100k];
