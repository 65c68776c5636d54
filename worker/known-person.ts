/** Tells control of a person who came in, so that operators and providers can name them in any way that they are known by. */
import type { SessionId } from "../core/ids.ts";
import { CONTROL_NAME } from "../durable-objects/bindings.ts";
import type { Identity } from "../identity/claims.ts";
import type { Exchange } from "./exchange.ts";

type Known = Pick<Identity, "userId" | "issuer" | "sub" | "email" | "name" | "providerSession">;

/** False: the provider has ended meanwhile what they signed in by, or them. Throws when control cannot be told. */
export function noteSignIn(x: Exchange, { userId, issuer, sub, email, name, providerSession }: Known, session: { sid: SessionId; endsAt: number }): Promise<boolean> {
  const person = { id: userId, issuer, sub, ...(email === undefined ? {} : { email }), ...(name === undefined ? {} : { name }), lastSignInAt: x.now };
  const login = providerSession === undefined ? undefined : { id: providerSession, ...session };
  return x.env.CONTROL.getByName(CONTROL_NAME).noteSignIn(person, login);
}
