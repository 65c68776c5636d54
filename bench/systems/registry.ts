/** The systems by name, in the order in which tables show them. */
import { startCaddy } from "./caddy.ts";
import { startDirect } from "./direct.ts";
import { startFloorTcp } from "./floor-tcp.ts";
import { startLocaltunnel } from "./localtunnel.ts";
import { startPostern } from "./postern.ts";
import { startSshRemote } from "./ssh-remote.ts";
import { startWireguard } from "./wireguard.ts";
import type { Ground, System } from "./system.ts";
import { startFloor, startHello, startProxy } from "./yardsticks.ts";

export const SYSTEMS: Readonly<Record<string, (ground: Ground) => Promise<System>>> = {
  direct: startDirect,
  "workerd-proxy": startProxy,
  "do-hello": startHello,
  floor: startFloor,
  "floor-tcp": startFloorTcp,
  postern: (ground) => startPostern(ground),
  localtunnel: startLocaltunnel,
  "ssh-R": startSshRemote,
  caddy: startCaddy,
  "wireguard-go": startWireguard,
};
