/** Tells the tests inside workerd which Worker they run in: its exports and its bindings. No values. */
declare namespace Cloudflare {
  interface GlobalProps {
    mainModule: typeof import("../../worker/index.ts");
    durableNamespaces: "Control" | "User" | "Session" | "Tunnel" | "Audit" | "Signer" | "Device";
  }
  interface Env extends Readonly<Record<"CONTROL" | "USER" | "SESSION" | "TUNNEL" | "AUDIT" | "SIGNER" | "DEVICE", DurableObjectNamespace>> {
    readonly POSTERN_EDGE_KIND: string;
    readonly POSTERN_SETUP_KEY: string;
  }
}

/** A file as text, as Vite gives it. */
declare module "*?raw" {
  const text: string;
  export default text;
}
