import { randomUUID } from "node:crypto";
import { ADMIN } from "../support/server";
import { expect, offline, test } from "../support/test";

test("without the chat a message is left with the form, and becomes a conversation", async ({ visit, staff }) => {
  const page = await visit(offline);
  await page.route("**/hubs/chat**", (route) => route.abort());
  await page.goto("/about");
  await page.getByRole("complementary", { name: "Help" }).getByRole("button", { name: /^Chat with us/ }).click();
  const panel = page.getByRole("dialog", { name: /^Chat with/ });
  await expect(panel.getByRole("status")).toContainText("No connection to the chat right now", { timeout: 20_000 });
  await panel.getByRole("link", { name: "write to us" }).click();
  await expect(page).toHaveURL(/\/contact#write$/);
  await panel.getByRole("button", { name: "Close the chat" }).click();

  const form = page.getByRole("region", { name: "Write to us" });
  await form.getByRole("button", { name: "Send message" }).click();
  await expect(page.getByRole("alert")).toContainText("Enter your email, so we can reply.");
  const text = `Is my parcel ${randomUUID().slice(0, 8)} on its way?`;
  await form.getByLabel("Email").fill("ann@example.org");
  await form.getByLabel("Message").fill(text);
  await form.getByRole("button", { name: "Send message" }).click();
  await expect(page.getByRole("status").filter({ hasText: "We’ve got your message" })).toBeVisible();

  const answer = await staff.request.post("/api/v1/identity/token", {
    data: { grant_type: "password", email: ADMIN.email, password: ADMIN.password },
  });
  const { access_token } = (await answer.json()) as { access_token: string };
  await expect
    .poll(async () => {
      const list = await staff.request.get("/api/v1/conversations?status=queued", { headers: { Authorization: `Bearer ${access_token}` } });
      return ((await list.json()) as { items: { preview: string }[] }).items.map(({ preview }) => preview);
    })
    .toContain(text);
});

test("the form needs no script", async ({ visit }) => {
  const page = await visit({ javaScriptEnabled: false });
  await page.goto("/contact");
  const form = page.getByRole("region", { name: "Write to us" });
  await form.getByLabel("Name").fill("Ann");
  await form.getByLabel("Email").fill("ann@example.org");
  await form.getByLabel("Message").fill("Hello?");
  await form.getByRole("button", { name: "Send message" }).click();
  await expect(page.getByText("We’ve got your message and will get back to you.")).toBeVisible();
});
