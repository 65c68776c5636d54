/** Fifty people signed in: the real cookies of an app, each of a session of its own, got at the demo provider. */
import { signIn } from "../../test/e2e/sign-in.ts";

/** Sign-ins under way at once; more only wait for each other. */
const AT_ONCE_COUNT = 4;

/** The Cookie headers of `count` new sessions of alice at an app. */
export async function cookiesOf(appUrl: string, count: number): Promise<string[]> {
  const cookies: string[] = [];
  let begun = 0;
  const work = async (): Promise<void> => {
    while (begun < count) {
      begun++;
      const person = await signIn(appUrl, "alice");
      cookies.push(person.headers(appUrl)["cookie"] ?? "");
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE_COUNT }, work));
  return cookies;
}
