import { writeFileSync, appendFileSync } from "node:fs";
import { afterAll, beforeAll, it } from "vitest";
import { Checker, CHECKS, type CheckName } from "./checks.ts";
import { KINDS, type KindName } from "./kinds.ts";
import { type Ground, matrixGround } from "./matrix-ground.ts";
let ground: Ground;
beforeAll(async () => { ground = await matrixGround(); });
afterAll(() => ground?.stop());
it("probe", async () => {
  const checker = new Checker(ground);
  const out: Record<string, Record<string, string>> = {};
  const t0 = Date.now();
  await checker.beginExpiries(["launcher cookie","app cookie","operator token","service token as Bearer","service token as Basic password","service token with its id","service token with its name","app bearer by a second issuer","hand-off code","assertion at an origin","admission"]);
  writeFileSync("/tmp/matrix.log",""); console.log("begin", Date.now()-t0);
  for (const kind of Object.keys(KINDS) as KindName[]) {
    const t = Date.now();
    const row: Record<string, string> = out[kind] = {};
    for (const name of Object.keys(CHECKS) as CheckName[]) {
      const s = Date.now();
      if (name.includes("its end") && ["app bearer by the demo provider","setup key","setup token","enrolment token","device code","login-state cookie","lane welcome"].includes(kind)) { row[name] = "–"; continue; }
      if (kind === "setup token" && name.includes("revoked") && !name.includes("service")) { row[name]="–"; continue; }
      if (kind === "setup token" && name.includes("signing out")) { row[name]="–"; continue; }
      if (kind === "setup token" && name.includes("planted")) { row[name]="–"; continue; }
      row[name] = await Promise.race([CHECKS[name](checker, kind), new Promise<string>((r) => setTimeout(() => r("HANG"), 12000))]).catch((e: Error) => "! " + e.message.slice(0, 160));
      appendFileSync("/tmp/matrix.log", `${kind} | ${name} | ${row[name]} | ${Date.now()-s}\n`); if (Date.now()-s > 1500) row[name] += ` (${Date.now()-s} ms)`;
    }
    console.log(kind, Date.now() - t);
  }
  writeFileSync("/tmp/matrix.json", JSON.stringify(out, null, 1));
  console.log("total", Date.now()-t0, ground.origin.complaints);
}, 280000);
