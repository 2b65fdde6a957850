import type { Locator } from "@playwright/test";
import { ask, botSaid, chatBox, chatButton, chatPanel, choose, openChat, said, say } from "../support/chat";
import { addToBasket, buy, signIn, signUp, tabTo } from "../support/journey";
import { Server, freePort, tail } from "../support/server";
import { FLEET, expect, offline, ownPorts, test } from "../support/test";

test("the bot says where an order is, from the order itself", async ({ page, person, books }) => {
  const [book] = await books(1);
  await signUp(page, person);
  await addToBasket(page, book!);
  const order = await buy(page, person, { guest: false });
  const panel = await openChat(page);
  await expect(panel).toContainText("You’re chatting with our bot");
  const answer = await ask(panel, `Where is my order ${order.number}?`);
  await expect(answer).toContainText("Bot");
  await expect(answer).toContainText(order.number);
  await answer.getByRole("link").first().click();
  await expect(page).toHaveURL(new RegExp(`/orders/${order.id}`));
});

test("the bot finds a book and leads to it", async ({ page, books }) => {
  const [book] = await books(1);
  await page.goto("/");
  const panel = await openChat(page);
  const answer = await ask(panel, `Do you have the book "${book!.title}"?`);
  await answer.getByRole("link", { name: book!.title }).first().click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(book!.title);
});

test("the bot quotes a policy and leads to the very place", async ({ page }) => {
  await page.goto("/");
  const panel = await openChat(page);
  const answer = await ask(panel, "How do I return a book?");
  await answer.getByRole("link").first().click();
  await expect(page).toHaveURL(/\/policies\/[a-z-]+#[a-z-]+$/);
  const heading = page.locator(`[id="${new URL(page.url()).hash.slice(1)}"]`);
  await expect(heading).toBeInViewport();
  const policy = await page.getByRole("article").innerText();
  const sentences = (await answer.locator(".msg__text").innerText()).split(/[.!?\n]/).map((sentence) => sentence.trim());
  expect(sentences.filter((sentence) => sentence.length > 20 && policy.includes(sentence))).not.toEqual([]);
});

test("going on to another page keeps the conversation and what is typed", async ({ page }) => {
  await page.goto("/books");
  const panel = await openChat(page);
  await ask(panel, "Hello there");
  const before = await said(panel).allInnerTexts();
  await chatBox(panel).fill("Half a sent");
  await page.getByRole("link", { name: "About us" }).click();
  await expect(page).toHaveURL(/\/about$/);
  await expect(panel).toBeVisible();
  await expect(chatBox(panel)).toHaveValue("Half a sent");
  expect(await said(panel).allInnerTexts()).toEqual(before);
  await chatBox(panel).press("End");
  await chatBox(panel).pressSequentially("ence");
  await chatBox(panel).press("Enter");
  await expect(said(panel).filter({ hasText: "Half a sentence" })).toHaveCount(1);

  // What is there already is not read out again.
  await page.reload();
  await expect(said(panel).filter({ hasText: "Half a sentence" })).toHaveCount(1);
  await expect(panel.getByRole("log")).toHaveAttribute("aria-live", "polite");
  await expect(page.locator("#announcer")).toHaveText("");
});

test("the page brings the chat's script only when it is wanted", async ({ page }) => {
  const scripts: string[] = [];
  page.on("request", (request) => {
    if (request.resourceType() === "script") scripts.push(new URL(request.url()).pathname);
  });
  await page.goto("/");
  await expect(chatButton(page)).toBeVisible();
  expect(scripts.filter((path) => path.includes("chat"))).toEqual([]);
  await openChat(page);
  expect(scripts.filter((path) => path.startsWith("/assets/chat-"))).toHaveLength(1);
});

test("a guest who signs in goes on with the conversation, and who signs out leaves it", FLEET, async ({ page, person, visit }) => {
  const other = await visit();
  await signUp(other, person);
  await page.goto("/sign-in");
  const panel = await openChat(page);
  await say(panel, "I am a guest for now");
  await signIn(page, person);
  await expect(said(panel).filter({ hasText: "I am a guest for now" })).toBeVisible();
  await say(panel, "Now I am signed in");

  // It belongs to the account: it is found on another computer.
  await other.goto("/");
  const elsewhere = await openChat(other);
  await expect(said(elsewhere).filter({ hasText: "I am a guest for now" })).toBeVisible();
  await expect(said(elsewhere).filter({ hasText: "Now I am signed in" })).toBeVisible();

  await page.goto("/account");
  await panel.getByRole("button", { name: "Close the chat" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByText("You are signed out.")).toBeVisible();
  await openChat(page);
  await expect(panel.getByRole("button", { name: "Where is my order?" })).toBeVisible();
  await expect(panel.getByText("I am a guest for now")).toHaveCount(0);
});

test("tabs stay in step", FLEET, async ({ page }) => {
  await page.goto("/about");
  const second = await page.context().newPage();
  await second.goto("/privacy");
  const [here, there] = [await openChat(page), await openChat(second)];
  await say(here, "From the first tab");
  await expect(said(there).filter({ hasText: "From the first tab" })).toHaveCount(1);
  await say(there, "From the second tab");
  await expect(said(here).filter({ hasText: "From the second tab" })).toHaveCount(1);
  await expect(botSaid(here).first()).toBeVisible({ timeout: 20_000 });
  const texts = (panel: Locator): Promise<string[]> => panel.getByRole("log").locator(".msg__text").allInnerTexts();
  // The bot may still be answering: both sides are read anew each time.
  await expect(async () => expect(await texts(there)).toEqual(await texts(here))).toPass({ timeout: 20_000 });

  await choose(there, "Delete conversation");
  await there.getByRole("button", { name: "Delete conversation", exact: true }).click();
  for (const panel of [here, there]) await expect(said(panel)).toHaveCount(0);
  await page.reload();
  await expect(chatPanel(page)).toBeVisible();
  await expect(said(here)).toHaveCount(0);
});

test("what is said without a connection waits, and arrives once and in order", async ({ visit }) => {
  const page = await visit(offline);
  await page.goto("/about");
  const panel = await openChat(page);
  await say(panel, "Said with a connection");
  await page.context().setOffline(true);
  await expect(panel.getByRole("status")).toContainText("No connection");
  for (const text of ["First without", "Second without"]) {
    await chatBox(panel).fill(text);
    await chatBox(panel).press("Enter");
    const waiting = panel.getByRole("group", { name: "Not sent yet" }).locator(".msg").filter({ hasText: text });
    await expect(waiting).toContainText("Waiting to send");
  }
  await page.context().setOffline(false);
  const own = panel.getByRole("log").locator(".msg--customer .msg__text");
  await expect(own).toHaveText(["Said with a connection", "First without", "Second without"], { timeout: 30_000 });
  await expect(panel.getByRole("group", { name: "Not sent yet" })).toBeHidden();
  await page.reload();
  await expect(own).toHaveText(["Said with a connection", "First without", "Second without"]);
});

test("the plug is pulled in mid-conversation: nothing is lost and nothing comes twice", async ({ visit }) => {
  test.setTimeout(180_000);
  const port = await freePort();
  ownPorts.add(String(port));
  let server = await Server.start({ port });
  try {
    const page = await visit({ ...offline, baseURL: server.url });
    await page.goto("/about");
    const panel = await openChat(page);
    await ask(panel, "Hello before the fall");
    const before = await said(panel).allInnerTexts();
    await chatBox(panel).fill("Just before the fall");
    await chatBox(panel).press("Enter");
    await server.kill();
    await expect(panel.getByRole("status")).toContainText("No connection");
    await chatBox(panel).fill("Said into the void");
    await chatBox(panel).press("Enter");
    await expect(panel.getByRole("group", { name: "Not sent yet" })).toContainText("Said into the void");

    server = await Server.start({ port, dataDir: server.dataDir });
    const own = panel.getByRole("log").locator(".msg--customer .msg__text");
    await expect(own).toHaveText(["Hello before the fall", "Just before the fall", "Said into the void"], { timeout: 60_000 });
    expect((await said(panel).allInnerTexts()).slice(0, before.length)).toEqual(before);
    await page.reload();
    await expect(own).toHaveText(["Hello before the fall", "Just before the fall", "Said into the void"]);
    expect(await server.stop()).toBe(0);
  } catch (error) {
    console.log(`--- end of the restarted shop's log ---\n${tail(server.log)}\n--- ---`);
    throw error;
  } finally {
    await server.kill();
    server.remove();
  }
});

test("the chat is used with the keyboard alone", async ({ page }) => {
  await page.goto("/about");
  await expect(chatButton(page)).toHaveAttribute("aria-keyshortcuts", "Alt+Shift+C");
  await page.keyboard.press("Alt+Shift+KeyC");
  const panel = chatPanel(page);
  await expect(chatBox(panel)).toBeFocused();
  await page.keyboard.type("Hello");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("from the keyboard");
  await page.keyboard.press("Enter");
  await expect(said(panel).filter({ hasText: "from the keyboard" })).toBeVisible();
  await expect(chatBox(panel)).toBeFocused();
  await expect(botSaid(panel).first()).toBeVisible({ timeout: 20_000 });

  await tabTo(page, panel.getByLabel("More about this conversation"), "Shift+Tab");
  await page.keyboard.press("Enter");
  await tabTo(page, panel.getByRole("button", { name: "End conversation" }));
  await page.keyboard.press("Enter");
  await expect(panel.getByRole("heading", { name: "This conversation has ended" })).toBeVisible();
  await tabTo(page, panel.getByRole("radio", { name: /^1 star/ }));
  for (let star = 1; star < 5; star++) await page.keyboard.press("ArrowRight");
  await expect(panel.getByRole("radio", { name: /^5 stars/ })).toBeChecked();
  await tabTo(page, panel.getByRole("button", { name: "Send rating" }));
  await page.keyboard.press("Enter");
  await expect(panel).toContainText("You gave 5 of 5");

  await page.keyboard.press("Escape");
  await expect(panel).toBeHidden();
  await expect(chatButton(page)).toBeFocused();
  await page.keyboard.press("Space");
  await expect(panel).toBeVisible();
});

test("a conversation ends, is rated, and a new one begins", async ({ page, person, staff }) => {
  await page.goto("/about");
  const panel = await openChat(page);
  await panel.getByText("Your name and email").click();
  await panel.getByLabel("Name").fill(person.name);
  await panel.getByLabel("Email", { exact: true }).fill(person.email);
  await ask(panel, "What are your opening hours?");
  await choose(panel, "Email me a transcript");
  await panel.getByLabel("Email address").fill(person.email);
  await panel.getByRole("button", { name: "Send transcript" }).click();
  await expect(panel.getByRole("status").filter({ hasText: "Check your inbox" })).toBeVisible();
  await choose(panel, "End conversation");
  await panel.getByRole("radio", { name: "4 stars" }).check();
  await panel.getByLabel(/^Comments/).fill("Quick & <b>kind</b>");
  await panel.getByRole("button", { name: "Send rating" }).click();
  await expect(panel).toContainText("You gave 4 of 5");
  await panel.getByRole("button", { name: "Start a new conversation" }).last().click();
  await expect(said(panel)).toHaveCount(0);
  await say(panel, "Something else");
  await expect(panel.getByText("What are your opening hours?")).toHaveCount(0);

  await expect(async () => {
    await staff.goto("/admin/mail");
    await expect(staff.getByRole("row").filter({ hasText: person.email }).first()).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 15_000 });
});

test("the length of a message is limited, and markup in it is text", async ({ page }) => {
  await page.goto("/about");
  const panel = await openChat(page);
  await chatBox(panel).fill("é".repeat(4_001));
  await expect(panel).toContainText("1 character too many");
  await chatBox(panel).press("Enter");
  await expect(said(panel)).toHaveCount(0);
  await expect(chatBox(panel)).toHaveValue("é".repeat(4_001));
  await chatBox(panel).fill("é".repeat(4_000));
  await chatBox(panel).press("Enter");
  await expect(said(panel).first()).toContainText("ééé");
  await say(panel, "<img src=x onerror=alert(1)><b>bold</b>");
  await expect(panel.locator("img")).toHaveCount(0);
});

test("news of the chat is shown on the button", async ({ page }) => {
  await page.goto("/about");
  const panel = await openChat(page);
  await ask(panel, "Hello");
  await page.keyboard.press("Escape");
  // What came while the panel was open counts as read.
  await expect(chatButton(page)).toHaveAccessibleName("Chat with us");
  const second = await page.context().newPage();
  await second.goto("/privacy");
  await say(await openChat(second), "What does delivery cost?");
  await expect(chatButton(page)).toHaveAccessibleName(/\d new message/, { timeout: 20_000 });
});

test("the token is given to the shop's own pages only", async ({ page, person, request }) => {
  await signUp(page, person);
  const own = await page.evaluate(async () => (await fetch("/chat/session")).json() as Promise<{ access_token: string; name: string }>);
  expect(own.name).toBe(person.name);
  expect(own.access_token.split(".")).toHaveLength(3);
  const cookies = await page.context().cookies();
  const headers = { cookie: cookies.map(({ name, value }) => `${name}=${value}`).join("; "), "sec-fetch-site": "cross-site" };
  const foreign = await request.get("/chat/session", { headers });
  expect(foreign.status()).toBe(403);
  expect(await foreign.text()).toBe("");
});

test.describe("with scripts switched off", () => {
  test.use({ javaScriptEnabled: false });

  test("the button leads to the contact page", async ({ page }) => {
    await page.goto("/books");
    await page.getByRole("link", { name: "Chat with us" }).click();
    await expect(page).toHaveURL(/\/contact$/);
    await expect(page.getByRole("link", { name: /@/ })).toHaveAttribute("href", /^mailto:/);
    await page.getByRole("navigation", { name: "About the shop" }).getByRole("link", { name: "Our policies" }).click();
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("Our policies");
  });
});

test("the button makes way for what is to be pressed", async ({ page, books }) => {
  const [book] = await books(1);
  await page.setViewportSize({ width: 360, height: 640 });
  await addToBasket(page, book!);
  await page.goto("/checkout");
  const place = page.getByRole("button", { name: /^(Pay |Place order$)/ });
  await place.scrollIntoViewIfNeeded();
  const under = await place.evaluate((button) => {
    const { left, top, width, height } = button.getBoundingClientRect();
    button.scrollIntoView({ block: "end" });
    return [left, top, width, height].every(Number.isFinite);
  });
  expect(under).toBe(true);
  // Wherever the page stands, the button of the order can be pressed at each of its corners.
  for (let scrolled = 0; scrolled < 12; scrolled++) {
    await page.mouse.wheel(0, 60);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await expect
      .poll(() =>
        place.evaluate((button) => {
          const { left, top, right, bottom } = button.getBoundingClientRect();
          const corners = [[left + 4, top + 4], [right - 4, top + 4], [left + 4, bottom - 4], [right - 4, bottom - 4]] as const;
          return corners.every(([x, y]) => y < 0 || y > innerHeight || !document.elementFromPoint(x, y)?.closest(".chat-corner"));
        }),
      )
      .toBe(true);
  }
});
