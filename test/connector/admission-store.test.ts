import { describe, expect, it } from "vitest";
import { parseSessionId } from "../../core/ids.ts";
import { at } from "../../core/time.ts";
import { ADMISSION_LIFETIME_MS, admissionDigest, signAdmission } from "../../identity/admission.ts";
import { generateSigningKey } from "../../identity/keys.ts";
import { AdmissionStore } from "../../connector/admission-store.ts";
import { EdgeClock } from "../../connector/edge-clock.ts";
import { PinnedKeys } from "../../connector/pinned-keys.ts";
import { SESSION, SITE, WIKI, must } from "./test-edge.ts";

const START = 1_800_000_000_000;
const THUMBPRINT = "t".repeat(43);

async function store() {
  const key = await generateSigningKey("admission", at(START), crypto.subtle);
  let monotonic = 0;
  const clock = new EdgeClock(START, () => monotonic);
  const admissions = new AdmissionStore(new PinnedKeys({ version: 1, keys: [key.publicJwk] }, () => undefined), clock, THUMBPRINT, SITE);
  const sign = (sid = SESSION, issued = START): Promise<string> => signAdmission({ sid, app: WIKI, site: SITE, epoch: 1, policyVersion: 1, connector: THUMBPRINT }, key, at(issued));
  return { admissions, sign, clock, pass: (ms: number) => (monotonic += ms) };
}

describe("admissions at the connector (M17)", () => {
  it("are found by digest while their verification is still under way", async () => {
    const { admissions, sign } = await store();
    const jws = await sign();
    const digest = await admissionDigest(jws);
    const added = admissions.add(jws);
    expect(await admissions.find(digest)).toMatchObject({ app: WIKI });
    expect(await added).toBeUndefined();
  });

  it("run out on the edge's clock, and sooner by how wrong that may be (M9)", async () => {
    const { admissions, sign, pass, clock } = await store();
    pass(400);
    clock.answered();
    const jws = await sign(SESSION, START);
    await admissions.add(jws);
    const digest = await admissionDigest(jws);
    pass(ADMISSION_LIFETIME_MS - 400 - 400 - 1);
    expect(await admissions.find(digest)).toBeDefined();
    pass(1);
    expect(await admissions.find(digest)).toBeUndefined();
    expect(admissions.size).toBe(0);
  });

  it("of a cut session are gone, also one whose verification began before the cut; later ones pass", async () => {
    const { admissions, sign } = await store();
    const other = must(parseSessionId("b".repeat(64)));
    const [first, second, kept] = [await sign(), await sign(SESSION, START + 1_000), await sign(other)];
    await admissions.add(first);
    await admissions.add(kept);
    const pending = admissions.add(second);
    admissions.cut([SESSION]);
    expect(await pending).toBe("cut");
    expect(await admissions.find(await admissionDigest(first))).toBeUndefined();
    expect(await admissions.find(await admissionDigest(second))).toBeUndefined();
    expect(await admissions.find(await admissionDigest(kept))).toBeDefined();
    const later = await sign(SESSION, START + 2_000);
    expect(await admissions.add(later)).toBeUndefined();
    expect(await admissions.find(await admissionDigest(later))).toBeDefined();
  });

  it("of a cut session do not come back by a cut of more sessions than are remembered, of which it was one or which came after", async () => {
    for (const crowdFirst of [false, true]) {
      const { admissions, sign } = await store();
      const pending = admissions.add(await sign());
      const crowd = Array.from({ length: 20_001 }, (_, at) => must(parseSessionId(at.toString(16).padStart(64, "0"))));
      admissions.cut(crowdFirst ? [...crowd, SESSION] : [SESSION]);
      admissions.cut(crowd);
      admissions.cut([]);
      expect(await pending).toBe("cut");
    }
  });

  it("that do not verify are not stored", async () => {
    const { admissions } = await store();
    for (const jws of ["a.b.c", "x".repeat(5_000)]) expect(await admissions.add(jws)).toBeDefined();
    expect(admissions.size).toBe(0);
  });
});
