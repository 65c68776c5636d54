/** POLICY "Explained or blank": the blank page depends on the request id alone; the explained one never shows what a policy accepts. */
import { describe, expect, it } from "vitest";
import { blankPage } from "../../worker/pages/blank.ts";
import { deniedPage } from "../../worker/pages/denied.ts";
import { everyPage, requestId } from "./every-page.ts";

const A = requestId("r_AAAAAAAAAAAAAAAAAAAAAA");
const B = requestId("r_-_zZ09bbbbbbbbbbbbbbbb");

describe("the blank page", () => {
  it("is equal byte for byte after the request id is masked", () => {
    expect(blankPage(A).replaceAll(A, "*")).toBe(blankPage(B).replaceAll(B, "*"));
  });

  it("holds the request id once, and has the same length for every id", () => {
    expect(blankPage(A).split(A)).toHaveLength(2);
    expect(blankPage(A)).toHaveLength(blankPage(B).length);
  });

  it("takes nothing else that it could depend on", () => {
    expect(blankPage).toHaveLength(1);
    expect(blankPage(A)).not.toMatch(/example|sign(ed)? in|\/\/|mailto/i);
  });
});

describe("the explained denial", () => {
  const model = { user: { name: "Amira", email: "amira@example.com" }, app: { name: "Payroll" }, requestId: A };

  it("shows the person, the app, the advice and the request id, and not the codes of the advice", () => {
    const html = deniedPage({ ...model, advice: [{ code: "canary-code", text: "a registered device", action: { href: "https://help.example.com/", label: "How" } }] });
    for (const part of ["Amira", "amira@example.com", "Payroll", "a registered device", `<a href="https://help.example.com/">How</a>`, A, "Give this to your administrator"]) expect(html).toContain(part);
    expect(html).not.toContain("canary-code");
  });

  it("writes no field that the model does not have: values of a policy cannot come along", () => {
    const smuggled = { code: "group", text: "membership of another team", accepts: ["canary-group"], fact: "canary-fact" };
    const careless = { ...model, policies: ["canary-policy"], allow: { email: "canary@example.com" } };
    const html = deniedPage({ ...careless, advice: [smuggled] });
    expect(html).not.toContain("canary");
  });

  it("offers the step-up first, and only if there is one", () => {
    const advice = [{ code: "mfa", text: "a second factor" }];
    expect(deniedPage({ ...model, advice, stepUpUrl: "/.postern/step-up" })).toMatch(/<div class="actions"><a class="button primary" href="\/\.postern\/step-up">Confirm it is you<\/a>/);
    expect(deniedPage({ ...model, advice })).not.toContain("Confirm");
  });

  it("says something whole when there is no advice", () => {
    expect(deniedPage({ ...model, advice: [] })).toContain("asks for something that is missing at the moment.");
  });
});

describe("pages for strangers", () => {
  it("name no person: blank, chooser, interstitial, signed out, sign out, bounces", () => {
    const strangers = everyPage().filter((page) => /^(blank|chooser|continue|signed-out|sign-out|too-many)/.test(page.name));
    expect(strangers).toHaveLength(7);
    for (const page of strangers) expect(page.html).not.toMatch(/Amira|Payroll|Wiki/);
  });
});
