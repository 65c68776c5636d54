/** The identity service beside caddy, as a process: 204 with the user's name for a cookie that it signed, 401 for any other. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { generateKeyPair, jwtVerify, SignJWT } from "jose";

const ALGORITHM = "ES256";
const GROUPS_COUNT = 20;

const { privateKey, publicKey } = await generateKeyPair(ALGORITHM);
const groups = Array.from({ length: GROUPS_COUNT }, (_, i) => `group-${i}`);
const cookies = await Promise.all(
  Array.from({ length: Number(await text(process.stdin)) }, async (_, i) => `session=${await new SignJWT({ groups }).setProtectedHeader({ alg: ALGORITHM }).setSubject(`user-${i}`).setIssuedAt().setExpirationTime("1h").sign(privateKey)}`),
);

const server = createServer((request, response) => {
  jwtVerify((request.headers.cookie ?? "").slice("session=".length), publicKey).then(
    ({ payload }) => response.writeHead(204, { "x-user": payload.sub ?? "" }).end(),
    () => response.writeHead(401).end(),
  );
});
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port, cookies }));
process.on("disconnect", () => process.exit(0));
