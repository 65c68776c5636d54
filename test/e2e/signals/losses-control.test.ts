/** Control grants no lease while people are connected (P19), through the whole product. */
import { lossTests } from "./locked-store.ts";

lossTests({
  part: "control",
  object: "Control",
  titles: {
    plain: ["control-lost · http, sse, websocket, tcp, ssh: live before, kept after, where the rule is to keep"],
    reading: ["control-lost · http, sse: live before, limited after, where only reading may go on", "control-lost · websocket, tcp, ssh: live before, cut after, where only reading may go on"],
    strict: ["control-lost · http, sse, websocket, tcp, ssh: live before, cut after, where the rule is to cut"],
  },
});
