/** A machine's own side in tests: the agent's reports to an edge on this machine, from a folder of its own. */
import { DeviceReports, type Post } from "../../../agent/device-reports.ts";
import { DeviceStateFile } from "../../../agent/device-state.ts";
import { StateFolder } from "../../../agent/state-folder.ts";
import { loopbackFetch } from "../../../start/loopback-http.ts";

export function machineAt(launcher: string, folder: string): DeviceReports {
  const post: Post = async (path, { body, type, authorization }) => {
    const headers = { "content-type": type, ...(authorization === undefined ? {} : { authorization }) };
    const { status, text } = await loopbackFetch(`${launcher}${path}`, { method: "POST", headers, body, timeoutMs: 45_000 });
    return { status, json: JSON.parse(text) as unknown };
  };
  return new DeviceReports(new DeviceStateFile(new StateFolder(folder), launcher), post, Date.now);
}
