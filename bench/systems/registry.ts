/** The systems by name, in the order in which tables show them. */
import { startDirect } from "./direct.ts";
import { startPostern } from "./postern.ts";
import type { Ground, System } from "./system.ts";
import { startFloor, startHello, startProxy } from "./yardsticks.ts";

export const SYSTEMS: Readonly<Record<string, (ground: Ground) => Promise<System>>> = {
  direct: startDirect,
  "workerd-proxy": startProxy,
  "do-hello": startHello,
  floor: startFloor,
  postern: (ground) => startPostern(ground),
};
