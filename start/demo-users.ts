/**
 * The people of the demo and their groups. Not for deployments: the password is public, and the
 * provider that knows it listens on loopback only.
 */
export interface DemoUser {
  /** Subject identifier and user name. */
  readonly name: string;
  readonly fullName: string;
  readonly email: string;
  readonly groups: readonly string[];
  /** Shown beside the sign-in hint. */
  readonly hint: string;
}

export const DEMO_PASSWORD = "postern-demo";

export const DEMO_USERS: readonly DemoUser[] = [
  { name: "alice", fullName: "Alice Archer", email: "alice@example.com", groups: ["staff"], hint: "staff" },
  { name: "bob", fullName: "Bob Builder", email: "bob@partner.example.com", groups: ["contractors"], hint: "contractor" },
  { name: "carol", fullName: "Carol Castellan", email: "carol@example.com", groups: ["staff", "admins"], hint: "administrator of Postern" },
];

/** The acr values that the demo provider knows: password alone, and password with a second factor. */
export const ACR_PASSWORD = "urn:postern:demo:password";
export const ACR_SECOND_FACTOR = "urn:postern:demo:second-factor";
