import { request } from "@playwright/test";
import { join, resolve } from "node:path";
import { ADMIN, Server, tail } from "./server";

/** Starts one shop for the whole run, signs its owner in once, and closes it in the end. */
export default async function open(): Promise<() => Promise<void>> {
  const fleet = process.env.BOOKWORM_E2E_FLEET;
  const server = await Server.start({ fleet: fleet ? resolve(fleet) : undefined });
  process.env.SHOP_URL = server.url;
  process.env.SHOP_LOG = server.log;
  process.env.SHOP_STAFF = join(server.dataDir, "e2e-staff.json");
  process.env.SHOP_WORLD = join(server.dataDir, "e2e-world.json");
  await signInOwner(server.url, process.env.SHOP_STAFF);
  return async () => {
    const code = await server.stop();
    const log = tail(server.log);
    server.remove();
    if (code !== 0) throw new Error(`the shop ended with ${code} instead of 0 when asked to stop:\n${log}`);
  };
}

/** Signs in as a browser would and keeps the cookies in a file. */
export async function signInOwner(url: string, file: string): Promise<void> {
  const client = await request.newContext({ baseURL: url });
  const page = await (await client.get("/sign-in")).text();
  const token = /name="_csrf" value="([^"]+)"/.exec(page)?.[1];
  if (!token) throw new Error("the sign-in page has no form token");
  const answer = await client.post("/sign-in", { form: { _csrf: token, next: "/admin", ...ADMIN } });
  if (!answer.ok() || !answer.url().endsWith("/admin")) {
    throw new Error(`the owner cannot sign in: ${answer.status()} at ${answer.url()}`);
  }
  await client.storageState({ path: file });
  await client.dispose();
}
