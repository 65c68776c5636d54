/** The names that always mean this machine (RFC 6761 §6.3); our programs dial 127.0.0.1 for them and never resolve them (M19). */

/** Whether the host is `localhost` or ends in `.localhost`, in any case. */
export function isLocalhostName(host: string): boolean {
  const name = host.toLowerCase();
  return name === "localhost" || name.endsWith(".localhost");
}
