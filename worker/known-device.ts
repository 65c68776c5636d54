/**
 * Devices by their ids, which anybody can invent: a guess reaches no object, since on one's own
 * machine each object that was ever asked is a file. Control knows which there are.
 */
import { type DeviceId, parseDeviceId } from "../core/ids.ts";
import { CONTROL_NAME } from "../durable-objects/bindings.ts";
import type { Env } from "./env.ts";

/** Bounds memory per isolate; the oldest goes first. */
const MAX_KNOWN_COUNT = 5_000;
/** One that was enrolled stays enrolled, so what is known here stays true. What is not is asked anew: it may be enrolled a moment later. */
const known = new WeakMap<object, Set<DeviceId>>();

export type DeviceStub = ReturnType<Env["DEVICE"]["getByName"]>;

/** Undefined when there is none of this id. Throws when control cannot be asked. */
export async function knownDevice({ CONTROL, DEVICE }: Env, text: string): Promise<{ readonly id: DeviceId; readonly stub: DeviceStub } | undefined> {
  const id = parseDeviceId(text);
  if (id === undefined) return undefined;
  let ids = known.get(CONTROL);
  if (ids === undefined) known.set(CONTROL, (ids = new Set()));
  if (!ids.has(id)) {
    if (!(await CONTROL.getByName(CONTROL_NAME).isDevice(id))) return undefined;
    ids.add(id);
    const [oldest] = ids;
    if (ids.size > MAX_KNOWN_COUNT && oldest !== undefined) ids.delete(oldest);
  }
  return { id, stub: DEVICE.getByName(id) };
}
