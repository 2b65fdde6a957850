import { expect, type Locator, type Page } from "@playwright/test";
import { randomUUID } from "node:crypto";
import { signIn, signUp } from "./journey";
import { ADMIN } from "./server";
import type { Person } from "./test";

/** The button in the corner of every page. */
export function chatButton(page: Page): Locator {
  return page.getByRole("complementary", { name: "Help" }).getByRole("button", { name: /^Chat with us/ });
}

/** The chat's panel. */
export function chatPanel(page: Page): Locator {
  return page.getByRole("dialog", { name: /^Chat with/ });
}

/** Opens the chat and waits until the shop can be reached. */
export async function openChat(page: Page): Promise<Locator> {
  await chatButton(page).click();
  const panel = chatPanel(page);
  await expect(panel).toBeVisible();
  await expect(panel.getByText("Connecting…")).toHaveCount(0);
  return panel;
}

/** Where one writes. */
export function chatBox(panel: Locator): Locator {
  return panel.getByRole("textbox", { name: "Your message" });
}

/** What was said and is stored, in order. */
export function said(panel: Locator): Locator {
  return panel.getByRole("log").locator(".msg");
}

/** The bot's messages. */
export function botSaid(panel: Locator): Locator {
  return panel.getByRole("log").locator(".msg--bot");
}

/** Says something and waits until the shop has it. */
export async function say(panel: Locator, text: string): Promise<void> {
  await chatBox(panel).fill(text);
  await chatBox(panel).press("Enter");
  await expect(panel.getByRole("log").locator(".msg--customer").filter({ hasText: text })).toBeVisible();
}

/** Says something and waits for what the bot says to it. */
export async function ask(panel: Locator, text: string): Promise<Locator> {
  const before = await botSaid(panel).count();
  await say(panel, text);
  const answer = botSaid(panel).nth(before);
  await expect(answer).toBeVisible({ timeout: 20_000 });
  return answer;
}

/** Chooses from the menu of the panel. */
export async function choose(panel: Locator, name: string): Promise<void> {
  await panel.getByLabel("More about this conversation").click();
  await panel.locator(".chat__menu").getByRole("button", { name, exact: true }).click();
}

/** An account that answers chats, signed in on this page; the owner gives it the role. */
export async function becomeAgent(page: Page, owner: Page, name: string): Promise<Person> {
  const mark = randomUUID().slice(0, 8);
  const agent = { name, email: `agent-${mark}@example.org`, password: `bread and butter ${mark}` };
  await signUp(page, agent);
  const answer = await owner.request.post("/api/v1/identity/token", {
    data: { grant_type: "password", email: ADMIN.email, password: ADMIN.password },
  });
  const { access_token } = (await answer.json()) as { access_token: string };
  const headers = { Authorization: `Bearer ${access_token}` };
  const found = await owner.request.get(`/api/v1/identity/accounts?q=${encodeURIComponent(agent.email)}`, { headers });
  const { items } = (await found.json()) as { items: { id: string; email: string }[] };
  const account = items.find(({ email }) => email === agent.email);
  const given = await owner.request.put(`/api/v1/identity/accounts/${account?.id}/roles`, { headers, data: { roles: ["customer", "agent"] } });
  expect(given.ok(), await given.text()).toBe(true);
  // Tokens that are out already do not tell of the role.
  await page.goto("/account");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto("/sign-in?next=%2Fadmin%2Fchat");
  await signIn(page, agent);
  return agent;
}

/** The support desk, connected, with this availability. */
export async function openDesk(page: Page, availability: "Available" | "Away" | "Offline"): Promise<void> {
  await page.goto("/admin/chat");
  await expect(page.getByRole("status").filter({ hasText: "Connected" })).toBeVisible();
  await page.getByLabel("Status").selectOption({ label: availability });
}

/** Those who wait, in order. */
export function queue(page: Page): Locator {
  return page.getByRole("region", { name: /^Queue/ }).getByRole("listitem");
}

/** The conversations with this agent. */
export function own(page: Page): Locator {
  return page.getByRole("region", { name: /^Your chats/ }).getByRole("listitem");
}

/** The conversation that is open at the desk. */
export function thread(page: Page): Locator {
  return page.getByRole("region", { name: "Conversation" });
}

/** Where an agent writes. */
export function deskBox(page: Page): Locator {
  return page.getByRole("combobox", { name: "Your reply" });
}

/** Answers at the desk, and waits until the shop has it. */
export async function reply(page: Page, text: string): Promise<void> {
  await deskBox(page).fill(text);
  await deskBox(page).press("Enter");
  await expect(thread(page).getByRole("log").locator(".msg--agent").filter({ hasText: text })).toBeVisible();
}
