/** The record cannot be written while people are connected (P19), through the whole product. */
import { lossTests } from "./locked-store.ts";

lossTests({
  part: "audit",
  object: "Audit",
  titles: {
    plain: ["audit-lost · http, sse, websocket, tcp, ssh: live before, kept after, where the rule is to keep"],
    reading: ["audit-lost · http, sse: live before, limited after, where only reading may go on", "audit-lost · websocket, tcp, ssh: live before, cut after, where only reading may go on"],
    strict: ["audit-lost · http, sse, websocket, tcp, ssh: live before, cut after, where the rule is to cut"],
  },
});
