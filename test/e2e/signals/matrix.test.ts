/**
 * Every signal on a live connection of every protocol, through the whole product: bytes flow before,
 * and when the signal is answered what it forbids is cut, held until a step-up, or limited, and the
 * answer counts it. The five connections of a row belong to one session and hear one signal.
 */
import { afterAll, beforeAll } from "vitest";
import { playRow, type Row, rowOf, SIGNED_OUT } from "./matrix/cell.ts";
import { type Ground, shellOf, startGround, untilQuiet } from "./matrix/ground.ts";
import * as signals from "./matrix/signals.ts";

let ground: Ground;
beforeAll(async () => {
  ground = await startGround();
  console.info(shellOf(ground));
});
afterAll(() => ground.end());

const ROWS: readonly Row[] = [
  { titles: ["session · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.revokeSession, code: SIGNED_OUT },
  { titles: ["user · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.revokeUser, code: SIGNED_OUT },
  { titles: ["app · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.revokeApp, code: SIGNED_OUT },
  { titles: ["service · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.revokeService, code: SIGNED_OUT },
  { titles: ["device · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.revokeDevice },
  { titles: ["grant · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.revokeGrant },
  { titles: ["connector · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.revokeConnector, code: { websocket: "4502", agent: ["revoked", "cut"] } },
  { titles: ["policy · http, sse, websocket, tcp, ssh: live before, cut after, when the app is taken away"], signal: signals.appTakenAway },
  { titles: ["policy · http, sse, websocket, tcp, ssh: live before, frozen after, when a fresh second factor is wanted"], signal: signals.secondFactorWanted },
  { titles: ["policy · http, sse: live before, limited after, when it is read only", "policy · websocket, tcp, ssh: live before, cut after, when it is read only"], signal: signals.readOnly },
  { titles: ["scim-deactivate · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.deactivated, code: SIGNED_OUT },
  { titles: ["scim-group · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.leftGroup },
  { titles: ["backchannel-logout · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.providerSignOut, code: SIGNED_OUT },
  { titles: ["ssf-session-revoked · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.sessionRevoked, code: SIGNED_OUT },
  { titles: ["ssf-account-disabled · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.accountDisabled, code: SIGNED_OUT },
  { titles: ["ssf-credential-change · http, sse, websocket, tcp, ssh: live before, frozen after"], signal: signals.credentialChange },
  { titles: ["ssf-assurance-level-change · http, sse, websocket, tcp, ssh: live before, frozen after"], signal: signals.assuranceLevelChange },
  { titles: ["ssf-account-credential-change-required · http, sse, websocket, tcp, ssh: live before, frozen after"], signal: signals.credentialChangeRequired },
  { titles: ["ssf-token-claims-change · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.claimsChange },
  { titles: ["ssf-device-compliance-change · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.complianceChange },
  { titles: ["posture · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.postureReport },
  { titles: ["verdict · http, sse, websocket, tcp, ssh: live before, cut after"], signal: signals.deviceVerdict },
  { titles: ["risk · http, sse, websocket, tcp, ssh: live before, frozen after, when another system says high"], signal: signals.highRisk },
  { titles: ["risk · http, sse, websocket, tcp, ssh: live before, cut after, when denials come in a burst"], signal: signals.denialBurst },
];

for (const row of ROWS) {
  rowOf(row, async () => {
    await untilQuiet(ground);
    return playRow(ground, row);
  });
}
