import { describe, expect, it } from "vitest";
import { proxyFor } from "../../connector/proxy.ts";

describe("which proxy leads to the edge", () => {
  it.each<[string, string, Record<string, string>, string | undefined]>([
    ["none set", "https://edge.example", {}, undefined],
    ["HTTPS_PROXY", "https://edge.example", { HTTPS_PROXY: "http://proxy:3128" }, "proxy:3128"],
    ["without scheme", "https://edge.example", { https_proxy: "proxy:3128" }, "proxy:3128"],
    ["ALL_PROXY", "https://edge.example", { ALL_PROXY: "http://proxy:3128" }, "proxy:3128"],
    ["default port", "https://edge.example", { HTTPS_PROXY: "https://proxy" }, "proxy:443"],
    ["upper-case HTTP_PROXY is not used", "http://edge.example", { HTTP_PROXY: "http://proxy:3128" }, undefined],
    ["NO_PROXY by name", "https://edge.example", { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: "edge.example" }, undefined],
    ["NO_PROXY by suffix", "https://edge.example", { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: "other, .example" }, undefined],
    ["NO_PROXY is no substring match", "https://edge.example", { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: "ge.example" }, "proxy:3128"],
    ["NO_PROXY with another port", "https://edge.example", { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: "edge.example:8443" }, "proxy:3128"],
    ["NO_PROXY star", "https://edge.example", { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: "*" }, undefined],
    ["loopback", "https://postern.localhost", { HTTPS_PROXY: "http://proxy:3128" }, undefined],
  ])("%s", (_title, edge, environment, expected) => {
    const proxy = proxyFor(new URL(edge), environment);
    expect(proxy.ok && proxy.value !== undefined ? `${proxy.value.host}:${proxy.value.port}` : undefined).toBe(expected);
  });

  it("decodes credentials into Basic", () => {
    const proxy = proxyFor(new URL("https://edge.example"), { HTTPS_PROXY: "http://us%40er:p%3Aw@proxy:3128" });
    expect(proxy.ok && proxy.value?.authorization).toBe(`Basic ${Buffer.from("us@er:p:w").toString("base64")}`);
  });

  it.each(["http://", "socks5://proxy:1080", "http://%zz:1@proxy"])("an unreadable setting %s is an error, never a direct connection (row 92)", (setting) => {
    expect(proxyFor(new URL("https://edge.example"), { HTTPS_PROXY: setting }).ok).toBe(false);
  });
});
