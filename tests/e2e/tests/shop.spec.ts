import { CARD, expectConfirmed, expectBasketCount, basketLink, signUp, signIn, tabTo } from "../support/journey";
import { expect, offline, test } from "../support/test";

test("a book is bought with the keyboard alone", async ({ page, person }) => {
  await page.goto("/books?in_stock=true&sort=title");
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to content" })).toBeFocused();
  await page.keyboard.press("Enter");
  const card = page.getByRole("region", { name: "Books" }).getByRole("article").nth(2);
  await tabTo(page, card.getByRole("link").first());
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/books\/[0-9a-f-]{36}/);
  await tabTo(page, page.getByRole("button", { name: "Add to basket" }));
  await page.keyboard.press("Enter");
  await expectBasketCount(page, 1);
  await tabTo(page, basketLink(page), "Shift+Tab");
  await page.keyboard.press("Enter");
  await tabTo(page, page.getByRole("link", { name: "Go to checkout" }));
  await page.keyboard.press("Enter");
  const typed: [string, string][] = [
    ["Email", person.email],
    ["Full name", person.name],
    ["Street address", "12 Elm Street"],
    ["City", "Springfield"],
    ["State", "Illinois"],
    ["ZIP code", "62704"],
  ];
  for (const [label, text] of typed) {
    await tabTo(page, page.getByLabel(label, { exact: true }));
    await page.keyboard.type(text);
  }
  await tabTo(page, page.getByRole("radio", { name: CARD.approved }));
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowUp");
  await tabTo(page, page.getByRole("button", { name: /^(Pay |Place order$)/ }));
  await page.keyboard.press("Enter");
  await expectConfirmed(page);
});

test("filters combine, and their address can be passed on", async ({ page, visit }) => {
  await page.goto("/books");
  const titles = (on: typeof page): Promise<string[]> =>
    on.getByRole("region", { name: "Books" }).getByRole("article").getByRole("heading").allInnerTexts();
  const choose = async (label: string, option: string): Promise<void> => {
    const field = page.getByLabel(label, { exact: true });
    if (!(await field.isVisible())) await page.getByText("Filter and sort").click();
    await field.selectOption({ label: option });
    const show = page.getByRole("button", { name: "Apply" });
    if (await show.isVisible()) await show.click();
  };
  await choose("Language", "English");
  await expect(page).toHaveURL(/language=en/);
  await choose("Sort by", "Price: high to low");
  await expect(page).toHaveURL(/sort=-price/);
  await expect(page).toHaveURL(/language=en/);
  await choose("Price", "$10.00 to $20.00");
  await expect(page).toHaveURL(/price=1000-1999/);
  const chips = page.getByRole("list", { name: "Filters in use" });
  await expect(chips.getByRole("link", { name: /English/ })).toBeVisible();
  await expect(chips.getByRole("link", { name: /\$10\.00 to \$20\.00/ })).toBeVisible();
  const found = await titles(page);
  expect(found.length).toBeGreaterThan(2);
  const prices = await page.locator(".card__price").evaluateAll((all) => all.map((one) => Number(/\d+\.\d\d/.exec(one.textContent ?? "")?.[0])));
  expect(prices).toEqual([...prices].sort((a, b) => b - a));
  for (const price of prices) {
    expect(price).toBeGreaterThanOrEqual(10);
    expect(price).toBeLessThan(20);
  }

  const friend = await visit();
  await friend.goto(page.url());
  expect(await titles(friend)).toEqual(found);

  await chips.getByRole("link", { name: /English/ }).click();
  await expect(page).not.toHaveURL(/language=en/);
  await expect(page).toHaveURL(/price=1000-1999/);
});

test("the list goes on, and no book comes twice", async ({ page }) => {
  await page.goto("/books?sort=title");
  const links = page.getByRole("region", { name: "Books" }).locator("a.card__link");
  const first = await links.evaluateAll((all) => all.map((one) => one.getAttribute("href")));
  await page.getByRole("link", { name: "Next page" }).click();
  await expect(page).toHaveURL(/cursor=/);
  const second = await links.evaluateAll((all) => all.map((one) => one.getAttribute("href")));
  expect(second.length).toBeGreaterThan(0);
  expect(second.filter((href) => first.includes(href))).toEqual([]);
});

test("a page that does not exist says so", async ({ page }) => {
  for (const path of ["/no/such/page", "/books/01890000-0000-7000-8000-000000000000", "/books/nonsense"]) {
    const answer = await page.goto(path);
    expect(answer?.status()).toBe(404);
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("We looked on every shelf");
  }
  await page.getByRole("link", { name: "Browse books" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("All books");
});

test("dark colours stay", async ({ page }) => {
  const paper = (): Promise<string> => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.goto("/");
  const light = await paper();
  await page.getByRole("button", { name: "Dark" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  expect(await paper()).not.toBe(light);
  await page.reload();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await page.goto("/books");
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await page.getByRole("button", { name: "Light" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "light");
  expect(await paper()).toBe(light);
  await page.getByRole("button", { name: "System" }).click();
  await page.emulateMedia({ colorScheme: "dark" });
  expect(await paper(), "the system decides again").not.toBe(light);
  await page.reload();
  expect(await paper(), "and after a reload").not.toBe(light);
});

test("nothing is added without a connection, and the page says so", async ({ visit, books }) => {
  const [book] = await books(1);
  const page = await visit(offline);
  const context = page.context();
  await page.goto(book!.path);
  await context.setOffline(true);
  await page.getByRole("button", { name: "Add to basket" }).click();
  await expect(page.getByText("No connection. Not added.")).toBeVisible();
  await context.setOffline(false);
  await page.getByRole("button", { name: "Add to basket" }).click();
  await expect(page.getByRole("link", { name: "View basket" })).toBeVisible();
  await expectBasketCount(page, 1);
});

test("the header knows the basket after going back", async ({ page, books }) => {
  const [book] = await books(1);
  await page.goto("/");
  await page.goto(book!.path);
  await page.getByRole("button", { name: "Add to basket" }).click();
  await expectBasketCount(page, 1);
  await page.goBack();
  await expectBasketCount(page, 1);
});

test("at twice the text size a phone's page is no wider than the phone", async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto("/");
  await page.evaluate(() => (document.documentElement.style.fontSize = "200%"));
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  await expect(page.getByRole("navigation", { name: "Your account" }).getByRole("link", { name: /^Basket/ })).toBeInViewport();
});

test("a wrong password is refused without telling which part was wrong", async ({ page, person }) => {
  await signUp(page, person);
  await page.goto("/account");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto("/sign-in");
  for (const email of [person.email, `nobody-${person.email}`]) {
    await page.getByLabel("Email").fill(email);
    await page.getByLabel("Password").fill("not the password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("alert")).toContainText("That email and password don’t match.");
    await expect(page.getByLabel("Email")).toHaveValue(email);
    await expect(page.getByLabel("Password")).toHaveValue("");
  }
  await page.goto("/sign-in?next=https://evil.example/");
  await signIn(page, person);
  await expect(page).toHaveURL(/^http:\/\/127\.0\.0\.1:\d+\//);
});

test("text that people type is shown as text", async ({ page, books, person }) => {
  const hostile = `<img src=x onerror=alert(1)>`;
  await page.goto(`/search?q=${encodeURIComponent(hostile)}`);
  await expect(page.getByRole("heading", { level: 1 })).toContainText(hostile);
  await page.goto(`/books?author=${encodeURIComponent(hostile)}&subject=${encodeURIComponent("'; DROP TABLE books; --")}`);
  await expect(page.getByRole("heading", { level: 1 })).toContainText(hostile);
  await signUp(page, { ...person, name: `<b>${person.name}</b>` });
  await page.goto("/account");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello, <b>${person.name}</b>`);
  expect((await books(1)).length).toBe(1);
});

test("developers read the API's document and try it out", async ({ page }) => {
  await page.goto("/docs");
  await expect(page.getByRole("heading", { level: 1 })).toContainText("BookWorm", { timeout: 20_000 });
  await expect(page.getByRole("button", { name: /^post .*orders.*checkout/i }).first()).toBeVisible();
});
