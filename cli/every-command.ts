/** All commands, in the order in which --help lists them. What is not here does not exist. */
import { addAgent } from "./commands/agent.ts";
import { addApply } from "./commands/apply.ts";
import { addApps } from "./commands/apps.ts";
import { addBreakGlass } from "./commands/break-glass.ts";
import { addCheck } from "./commands/check.ts";
import { addConnectors } from "./commands/connectors.ts";
import { addCurl } from "./commands/curl.ts";
import { addDevices } from "./commands/devices.ts";
import { addDrill } from "./commands/drill.ts";
import { addEdgeStatus } from "./commands/edge-status.ts";
import { addEnrollToken } from "./commands/enroll-token.ts";
import { addExplain } from "./commands/explain.ts";
import { addGrant, addGrants, addRequests } from "./commands/grants.ts";
import { addHistory } from "./commands/history.ts";
import { addInit } from "./commands/init.ts";
import { addLogin, addLogout } from "./commands/login.ts";
import { addPosture } from "./commands/posture.ts";
import { addReceipt } from "./commands/receipt.ts";
import { addRequest } from "./commands/request.ts";
import { addRevoke } from "./commands/revoke.ts";
import { addService } from "./commands/service.ts";
import { addSessions } from "./commands/sessions.ts";
import { addSetup } from "./commands/setup.ts";
import { addSsh } from "./commands/ssh.ts";
import { addSshConfig } from "./commands/ssh-config.ts";
import { addStatus } from "./commands/status.ts";
import { addTcp } from "./commands/tcp.ts";
import { addTest } from "./commands/test.ts";
import { addWhoami } from "./commands/whoami.ts";
import type { Adder } from "./program.ts";

export const EVERY_COMMAND: readonly Adder[] = [
  addInit, addSetup, addCheck, addTest, addApply, addHistory,
  addSessions, addRevoke, addReceipt, addDrill, addExplain,
  addRequests, addGrant, addGrants,
  addService, addBreakGlass, addEnrollToken, addConnectors, addDevices, addEdgeStatus, addStatus,
  addLogin, addLogout, addWhoami, addApps, addRequest, addCurl, addTcp, addSsh, addSshConfig,
  addPosture, addAgent,
];
