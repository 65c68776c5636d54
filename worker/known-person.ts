/** Tells control of a person who came in, so that an operator can name them in any way that they are known by. */
import { CONTROL_NAME } from "../durable-objects/bindings.ts";
import type { Identity } from "../identity/claims.ts";
import type { Exchange } from "./exchange.ts";

/** Throws when control cannot be told. */
export function noteSignIn(x: Exchange, { userId, issuer, sub, email, name }: Pick<Identity, "userId" | "issuer" | "sub" | "email" | "name">): Promise<void> {
  return x.env.CONTROL.getByName(CONTROL_NAME).noteSignIn({ id: userId, issuer, sub, ...(email === undefined ? {} : { email }), ...(name === undefined ? {} : { name }), lastSignInAt: x.now });
}
