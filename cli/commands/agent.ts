/** `postern agent run`: keeps the edge told of what this machine says of itself, until it is stopped. */
import type { Command } from "commander";
import { watchDevice, type WatchEvent } from "../../agent/device-watch.ts";
import { posture } from "../../agent/posture/posture.ts";
import { thisSystem } from "../../agent/posture/system.ts";
import { declare, does, type Runner } from "../command.ts";
import { type DeviceOptions, thisDevice } from "../device-connection.ts";
import type { Invocation } from "../invocation.ts";
import { printable } from "../printable.ts";
import { wantedChecks, withDevice } from "./posture.ts";

interface Options extends DeviceOptions {
  readonly newDevice?: boolean;
}

export function addAgent(program: Command, runner: Runner): void {
  const group = program.command("agent").description("this machine as a device");
  const command = withDevice(declare(group, "run", "report what this machine says of itself: at once what changes, all of it every 15 minutes")).option("--new-device", "begin with a new key: another device, to the edge");
  does<Options>(command, runner, async (_args, options, invocation) => {
    const { io } = invocation;
    const wanted = wantedChecks(options.checks);
    const system = thisSystem();
    const device = thisDevice(options, invocation);
    if (options.newDevice === true) await device.file.forget();
    const { enrolledBy } = await device.file.read();
    // A machine that was never enrolled is told so now, not with its first report.
    if (enrolledBy === undefined) await device.enrol().then(({ id }) => say({ event: "enrolled", device: id }, invocation));
    let over = false;
    const stopped = io.stopped().then(() => {
      over = true;
    });
    await watchDevice({
      look: () => posture({ system, wanted, now: io.now() }),
      enrol: device.enrol,
      report: (facts) => device.reports.report(facts),
      now: io.now,
      random: () => io.random(4).reduce((sum, byte) => sum * 256 + byte, 0) / 2 ** 32,
      sleep: (ms) => pause(ms, stopped).then(() => !over),
      say: (event) => say(event, invocation),
    });
    return 0;
  });
}

async function pause(ms: number, stopped: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const passed = new Promise<void>((wake) => {
    timer = setTimeout(wake, ms);
  });
  await Promise.race([passed, stopped]);
  clearTimeout(timer);
}

function say(event: WatchEvent, { io, json }: Invocation): void {
  if (event.event === "trouble") {
    const { code, message, why, requestId } = event.failure;
    if (json) io.out(`${JSON.stringify({ event: "trouble", code, message: printable(`${message}: ${why}`), ...(requestId === undefined ? {} : { request_id: requestId }) })}\n`);
    else io.err(`postern: ${printable(`${message}: ${why}`)}${requestId === undefined ? "" : ` (request ${requestId})`}\n${event.failure.fix.map((fix) => `fix: ${printable(fix)}\n`).join("")}`);
    return;
  }
  if (json) return io.out(`${JSON.stringify(event)}\n`);
  io.out(event.event === "enrolled" ? `this machine is ${event.device}\n` : `reported${event.changed.length === 0 ? "" : `; new: ${event.changed.join(", ")}`}\n`);
}
