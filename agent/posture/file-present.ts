/** Facts `file_<name>`: the file that the team named is there. */
import type { PostureFacts } from "../../identity/posture-report.ts";
import { type Check, found } from "./check.ts";

export const filePresent: Check = async ({ system, wanted }) => {
  const each = await Promise.all(Object.entries(wanted.files).map(async ([name, path]) => found(`file_${name}`, await system.exists(path))));
  return Object.assign({}, ...each) as PostureFacts;
};
