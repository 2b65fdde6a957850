import type { Locator, Page } from "@playwright/test";
import { join } from "node:path";
import { becomeAgent, botSaid, chatBox, choose, deskBox, openChat, openDesk, own, queue, reply, said, say, thread } from "../support/chat";
import { addToBasket, buy, signUp } from "../support/journey";
import { Server, tail } from "../support/server";
import { signInOwner } from "../support/shop";
import { FLEET, expect, ownPorts, test as base } from "../support/test";

/** A shop of its own: who waits in another test's conversation would wait here, too. */
const test = base.extend<object, { shop: { server: Server; owner: string } }>({
  shop: [
    async ({}, use) => {
      const server = await Server.start();
      ownPorts.add(new URL(server.url).port);
      const owner = join(server.dataDir, "e2e-staff.json");
      await signInOwner(server.url, owner);
      await use({ server, owner });
      const code = await server.stop();
      const log = tail(server.log);
      server.remove();
      if (code !== 0) throw new Error(`the shop ended with ${code} instead of 0 when asked to stop:\n${log}`);
    },
    { scope: "worker", timeout: 150_000 },
  ],
  baseURL: async ({ shop }, use) => {
    await use(shop.server.url);
  },
  staff: async ({ visit, shop }, use) => {
    await use(await visit({ storageState: shop.owner }));
  },
});

test.afterEach(({ shop }, info) => {
  if (info.status !== info.expectedStatus) console.log(`--- end of the log of the desk's shop ---\n${tail(shop.server.log)}\n--- ---`);
});

// Agents of one shop share its queue: these go one after the other.
test.describe.configure({ mode: "serial" });
test.setTimeout(120_000);

/** A guest with this name, who wants a person. */
async function customer(page: Page, name: string): Promise<Locator> {
  await page.goto("/about");
  const panel = await openChat(page);
  await panel.getByText("Your name and email").click();
  await panel.getByLabel("Name").fill(name);
  await say(panel, `It is ${name} here, with a difficult question`);
  return panel;
}

/** Waits until the bot has answered, and asks for a person unless it did so itself. */
async function askForPerson(panel: Locator): Promise<void> {
  await expect(botSaid(panel).first()).toBeVisible({ timeout: 20_000 });
  const waits = panel.getByText("Waiting for a person");
  await waits.waitFor({ timeout: 2_000 }).catch(() => choose(panel, "Talk to a person"));
  await expect(waits).toBeVisible();
}

/** Types until the other side says so: who pauses counts as writing for some seconds only, and a slow machine asks late. */
async function seenWriting(box: Locator, other: Locator, name: string): Promise<void> {
  await expect(async () => {
    await box.pressSequentially("I am sorr");
    await expect(other).toContainText(`${name} is typing…`, { timeout: 2_000 });
  }).toPass({ timeout: 30_000 });
}

test("a difficult question goes from the bot to a person, is solved and rated", FLEET, async ({ page, person, books, visit, staff }) => {
  const desk = await visit();
  await becomeAgent(desk, staff, "Jo Helpful");
  await openDesk(desk, "Away");

  const [book] = await books(1);
  await signUp(page, person);
  await addToBasket(page, book!);
  const order = await buy(page, person, { guest: false });
  const panel = await openChat(page);
  await say(panel, "My parcel came wet and I am very angry about it, this is a complaint");
  await askForPerson(panel);
  await expect(panel.getByRole("status").filter({ hasText: /next|number|Nobody’s available/ })).toBeVisible();

  // The agent sees who waits, and for how long; what was said and bought is beside it.
  await expect(queue(desk)).toHaveCount(1);
  await expect(queue(desk).first()).toContainText(person.name);
  await queue(desk).getByRole("button", { name: `Accept ${person.name}` }).click();
  await expect(thread(desk).getByRole("log")).toContainText("My parcel came wet");
  await expect(desk.getByRole("complementary", { name: "About the customer" })).toContainText(order.number);
  await expect(panel).toContainText("Chatting with Jo Helpful");

  await seenWriting(deskBox(desk), panel, "Jo Helpful");
  await reply(desk, "I am sorry, we send another copy today.");
  await expect(said(panel).filter({ hasText: "we send another copy today" })).toHaveCount(1);
  await expect(thread(desk).locator(".msg--agent").last()).toContainText("Read");

  await seenWriting(chatBox(panel), thread(desk), person.name);
  await chatBox(panel).press("ControlOrMeta+a");
  await say(panel, "Thank you, that helps");
  await expect(thread(desk).getByRole("log")).toContainText("Thank you, that helps");
  await expect(panel.locator(".msg--customer").last()).toContainText("Read");

  await thread(desk).getByRole("button", { name: "Resolve" }).click();
  await expect(panel.getByRole("heading", { name: "This conversation has ended" })).toBeVisible();
  await expect(own(desk)).toHaveCount(0);
  await panel.getByRole("radio", { name: "5 stars: very good" }).check();
  await panel.getByRole("button", { name: "Send rating" }).click();
  await expect(panel).toContainText("You gave 5 of 5");
  await expect(thread(desk)).toContainText("rated 5 of 5");

  // The agent thinks of something else.
  await thread(desk).getByRole("button", { name: "Reopen" }).click();
  await reply(desk, "The parcel's number follows by mail.");
  await expect(said(panel).filter({ hasText: "number follows by mail" })).toHaveCount(1);
  await thread(desk).getByRole("button", { name: "Close", exact: true }).click();
  await expect(panel.getByRole("heading", { name: "This conversation is closed" })).toBeVisible();
  await expect(chatBox(panel)).toBeHidden();
});

test("who waits longest comes first, and is told the place", async ({ visit, staff }) => {
  const desk = await visit();
  await becomeAgent(desk, staff, "Quinn Queue");
  await openDesk(desk, "Away");
  const panels: Locator[] = [];
  for (const name of ["Anna First", "Bert Second", "Cora Third"]) {
    const panel = await customer(await visit(), name);
    await askForPerson(panel);
    panels.push(panel);
  }
  await expect(queue(desk)).toContainText(["Anna First", "Bert Second", "Cora Third"]);
  const place = (panel: Locator): Locator => panel.getByRole("status").first();
  const state = await place(panels[2]!).innerText();
  if (!state.includes("Nobody’s available")) expect(state).toContain("number 3");

  await desk.locator("body").click({ position: { x: 2, y: 2 } });
  await desk.keyboard.press("a");
  await expect(own(desk)).toContainText(["Anna First"]);
  await expect(queue(desk)).toContainText(["Bert Second", "Cora Third"]);
  await queue(desk).getByRole("button", { name: "Accept Cora Third" }).click();
  await expect(own(desk)).toHaveCount(2);
  await expect(queue(desk)).toContainText(["Bert Second"]);

  // Unread words of the one that is not open are counted, also in the title.
  await say(panels[0]!, "Are you still there?");
  await expect(own(desk).filter({ hasText: "Anna First" })).toContainText("1 unread");
  await expect(desk).toHaveTitle(/^\(1\) /);
  await own(desk).getByRole("button", { name: /^Anna First/ }).click();
  await expect(desk).toHaveTitle(/^Support desk/);

  for (const name of ["Anna First", "Cora Third"]) {
    await own(desk).getByRole("button", { name: new RegExp(`^${name}`) }).click();
    await thread(desk).getByRole("button", { name: "Resolve" }).click();
  }
  await queue(desk).getByRole("button", { name: "Accept Bert Second" }).click();
  await thread(desk).getByRole("button", { name: "Resolve" }).click();
  await expect(own(desk)).toHaveCount(0);
});

test("an agent who vanishes loses the conversation to the queue; notes stay among colleagues", async ({ visit, staff }) => {
  const first = await visit();
  await becomeAgent(first, staff, "Vera Vanishes");
  await openDesk(first, "Away");
  const panel = await customer(await visit(), "Dora Deserted");
  await askForPerson(panel);
  await queue(first).getByRole("button", { name: "Accept Dora Deserted" }).click();
  await first.getByLabel("Note for colleagues").fill("A regular; be kind");
  await first.getByRole("button", { name: "Add note" }).click();
  await expect(first.getByRole("complementary", { name: "About the customer" }).getByRole("listitem").filter({ hasText: "be kind" })).toBeVisible();

  const second = await visit();
  await becomeAgent(second, staff, "Rex Rescuer");
  await openDesk(second, "Away");
  await first.context().close();
  await expect(panel).toContainText("Waiting for a person", { timeout: 30_000 });
  await expect(queue(second)).toContainText(["Dora Deserted"]);
  await queue(second).getByRole("button", { name: "Accept Dora Deserted" }).click();
  await expect(second.getByRole("complementary", { name: "About the customer" })).toContainText("be kind");
  await reply(second, "I am here now.");
  await expect(said(panel).filter({ hasText: "I am here now." })).toBeVisible();
  await expect(panel.getByText("be kind")).toHaveCount(0);

  // An agent who only reloads the page keeps it.
  await second.reload();
  await own(second).getByRole("button", { name: /^Dora Deserted/ }).click();
  await expect(thread(second).getByRole("log")).toContainText("I am here now.");
  await thread(second).getByRole("button", { name: "Resolve" }).click();
});

test("a conversation is passed on to a colleague, and back to the queue", FLEET, async ({ visit, staff }) => {
  const [one, other] = [await visit(), await visit()];
  await becomeAgent(one, staff, "Paul Passes");
  await becomeAgent(other, staff, "Tara Takes");
  await openDesk(one, "Away");
  const panel = await customer(await visit(), "Emil Elsewhere");
  await askForPerson(panel);
  await queue(one).getByRole("button", { name: "Accept Emil Elsewhere" }).click();
  await openDesk(other, "Available");

  await expect(async () => {
    await thread(one).getByRole("button", { name: "Transfer" }).click();
    const to = one.getByRole("dialog").getByLabel("To", { exact: true });
    await expect(to).toContainText("Tara Takes", { timeout: 1_000 }).catch(async (error) => {
      await one.keyboard.press("Escape");
      throw error;
    });
  }).toPass();
  await one.getByRole("dialog").getByLabel("To", { exact: true }).selectOption({ label: "Tara Takes (0 of 3)" });
  await one.getByRole("dialog").getByRole("button", { name: "Transfer" }).click();
  await expect(own(other)).toContainText(["Emil Elsewhere"]);
  await expect(own(one)).toHaveCount(0);
  await expect(panel).toContainText("Chatting with Tara Takes");

  await openDesk(other, "Away");
  await own(other).getByRole("button", { name: /^Emil Elsewhere/ }).click();
  await thread(other).getByRole("button", { name: "Transfer" }).click();
  await other.getByRole("dialog").getByLabel("To", { exact: true }).selectOption({ label: "Queue: payment" });
  await other.getByRole("dialog").getByRole("button", { name: "Transfer" }).click();
  await expect(panel).toContainText("Waiting for a person");
  await queue(one).getByRole("button", { name: "Accept Emil Elsewhere" }).click();
  await thread(one).getByRole("button", { name: "Resolve" }).click();
});

test("saved replies are written once and used with the keyboard", async ({ visit, staff, person }) => {
  await staff.goto("/admin/chat/replies");
  const fresh = staff.getByRole("group", { name: "New reply" }).first();
  const shortcut = `welcome-${person.email.slice(4, 9)}`;
  await fresh.getByLabel("Shortcut").fill(`/${shortcut}`);
  await fresh.getByLabel("Text").fill("Welcome, {name}! How can I help?");
  await staff.getByRole("button", { name: "Save replies" }).click();
  await expect(staff.getByRole("status").first()).toContainText("Replies saved");
  await staff.getByRole("group", { name: "New reply" }).first().getByLabel("Shortcut").fill("two words");
  await staff.getByRole("button", { name: "Save replies" }).click();
  await expect(staff.getByRole("alert")).toBeVisible();

  const desk = await visit();
  await becomeAgent(desk, staff, "Kim Keys");
  await openDesk(desk, "Away");
  const panel = await customer(await visit(), "Fred Formal");
  await askForPerson(panel);
  await expect(queue(desk)).toHaveCount(1);
  await desk.getByRole("heading", { level: 1 }).click();
  await desk.keyboard.press("?");
  await expect(desk.getByRole("dialog", { name: "Shortcuts" })).toBeVisible();
  await desk.keyboard.press("Escape");
  await desk.keyboard.press("a");
  await expect(deskBox(desk)).toBeFocused();
  await desk.keyboard.type(`/${shortcut.slice(0, 12)}`);
  const list = desk.getByRole("listbox", { name: "Saved replies" });
  await expect(list.getByRole("option", { name: new RegExp(shortcut) })).toHaveAttribute("aria-selected", "true");
  await desk.keyboard.press("Enter");
  await expect(deskBox(desk)).toHaveValue("Welcome, Fred Formal! How can I help?");
  await desk.keyboard.press("Enter");
  await expect(said(panel).filter({ hasText: "Welcome, Fred Formal!" })).toBeVisible();
  await desk.keyboard.press("Alt+Shift+KeyR");
  await expect(panel.getByRole("heading", { name: "This conversation has ended" })).toBeVisible();
});

test("the desk is for those who answer the chat", async ({ page, person }) => {
  await page.goto("/admin/chat");
  await expect(page).toHaveURL(/\/sign-in\?next=%2Fadmin%2Fchat/);
  await signUp(page, person);
  const answer = await page.goto("/admin/chat");
  expect(answer?.status()).toBe(403);
  await expect(page.getByRole("link", { name: "Support desk" })).toHaveCount(0);
});
