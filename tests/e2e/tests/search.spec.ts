import type { Locator, Page, Route } from "@playwright/test";
import { barriers } from "../support/barriers";
import { expectBasketCount, tabTo } from "../support/journey";
import { expect, test } from "../support/test";

const searchBox = (page: Page): Locator => page.getByRole("combobox", { name: "Search books" });
const suggestions = (page: Page): Locator => page.getByRole("listbox", { name: "Suggestions" });
const hits = (page: Page): Locator => page.getByRole("region", { name: "Books" }).getByRole("article");
const titles = (page: Page): Promise<string[]> => hits(page).getByRole("heading").allInnerTexts();

/** Searches from the header of the page that is open. */
async function search(page: Page, words: string): Promise<void> {
  await searchBox(page).fill(words);
  await searchBox(page).press("Enter");
  await expect(page).toHaveURL(/\/search\?q=/);
}

/** Answers suggestions in the shop's place. */
async function suggest(page: Page, answer: (typed: string, route: Route) => Promise<unknown> | unknown): Promise<void> {
  await page.route("**/api/v1/search/suggest?*", (route) => answer(new URL(route.request().url()).searchParams.get("q") ?? "", route));
}

const made = (text: string, kind = "subject") => ({ text, kind, id: "01890000-0000-7000-8000-000000000000" });

test("a book is found with the keyboard alone, through a suggestion", async ({ page, books }) => {
  const [book] = await books(1);
  await page.goto("/about");
  await tabTo(page, searchBox(page));
  await expect(searchBox(page)).toHaveAttribute("aria-expanded", "false");
  await page.keyboard.type(book!.title.slice(0, 12));
  const option = suggestions(page).getByRole("option").filter({ hasText: book!.title }).last();
  await expect(option).toBeVisible();
  await expect(searchBox(page)).toHaveAttribute("aria-expanded", "true");
  await expect(page.getByRole("status").filter({ hasText: /suggestion/ })).toHaveText(/^(1 suggestion|\d+ suggestions)\./);
  expect(await barriers(page)).toEqual([]);
  await page.emulateMedia({ colorScheme: "dark" });
  expect(await barriers(page)).toEqual([]);

  for (let pressed = 0; pressed < 10 && (await option.getAttribute("aria-selected")) !== "true"; pressed++) {
    await page.keyboard.press("ArrowDown");
  }
  await expect(option).toHaveAttribute("aria-selected", "true");
  await expect(searchBox(page)).toHaveAttribute("aria-activedescendant", (await option.getAttribute("id")) ?? "");
  await expect(searchBox(page)).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/books\/[0-9a-f-]{36}/);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(book!.title);
});

test("the suggestions' keys do what the combobox pattern says", async ({ page }) => {
  await suggest(page, (_, route) =>
    route.fulfill({ json: { items: [made("Sea stories"), made("Seaside"), made("Seneca <b>", "author"), made("Searching", "title")] } }),
  );
  await page.goto("/about");
  const box = searchBox(page);
  await box.pressSequentially("se");
  const list = suggestions(page);
  await expect(list.getByRole("option")).toHaveText(["Search for “se”", "Sea stories", "Seaside", "Seneca <b>", "Searching"]);
  await expect(list.getByRole("group")).toHaveCount(3);
  await expect(list.getByRole("group", { name: "Authors" }).getByRole("option")).toHaveText("Seneca <b>");
  await expect(list.getByRole("option").nth(1).locator("mark")).toHaveText("Se");
  const active = (): Promise<string[]> => list.locator("[aria-selected=true]").allInnerTexts();

  await box.press("ArrowUp");
  expect(await active()).toEqual(["Searching"]);
  await box.press("ArrowDown");
  expect(await active()).toEqual([]);
  await box.press("ArrowDown");
  await box.press("End");
  expect(await active()).toEqual(["Searching"]);
  await box.press("Home");
  expect(await active()).toEqual(["Search for “se”"]);
  await box.press("ArrowRight");
  expect(await active()).toEqual([]);
  await expect(box).not.toHaveAttribute("aria-activedescendant");
  await expect(box).toHaveValue("se");

  await box.press("Escape");
  await expect(list).toBeHidden();
  await expect(box).toHaveValue("se");
  await box.press("ArrowDown");
  await expect(list).toBeVisible();
  expect(await active()).toEqual(["Search for “se”"]);
  await box.press("Escape");
  await box.press("Escape");
  await expect(box).toHaveValue("");
  await box.pressSequentially("se");
  await expect(list).toBeVisible();
  await page.keyboard.press("Tab");
  await expect(list).toBeHidden();

  await box.click();
  await box.press("ArrowDown");
  await list.getByRole("option", { name: "Seaside" }).click();
  await expect(page).toHaveURL(/\/books\?subject=Seaside$/);
});

test("a late answer for older text is never shown", async ({ page }) => {
  const held: (() => void)[] = [];
  await suggest(page, async (typed, route) => {
    if (typed === "wh") await new Promise<void>((go) => held.push(go));
    await route.fulfill({ json: { items: [made(`${typed} was asked`, "title")] } }).catch(() => undefined);
  });
  await page.goto("/about");
  const box = searchBox(page);
  await box.pressSequentially("wh");
  await expect.poll(() => held.length).toBe(1);
  await box.pressSequentially("ale");
  await expect(suggestions(page).getByRole("option")).toHaveText(["Search for “whale”", "whale was asked"]);
  for (const go of held) go();
  await page.waitForLoadState("networkidle");
  await expect(suggestions(page).getByRole("option")).toHaveText(["Search for “whale”", "whale was asked"]);

  // Where no suggestion comes at all, the form searches as ever.
  await page.unroute("**/api/v1/search/suggest?*");
  await suggest(page, (_, route) => route.fulfill({ status: 503 }));
  await search(page, "the sea");
  await expect(page.getByRole("heading", { level: 1 })).toContainText("the sea");
});

test("facets combine and are taken off one by one", async ({ page, visit }) => {
  await page.goto("/about");
  await search(page, "the");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(/books for “the”$/);
  const all = await page.getByRole("heading", { level: 1 }).innerText();
  const subject = page.getByRole("navigation", { name: "Filter by subject" }).getByRole("link").first();
  const chosen = await subject.locator(".facet__name").innerText();
  await subject.click();
  await expect(page).toHaveURL(/subject=/);
  const price = page.getByRole("navigation", { name: "Filter by price" }).getByRole("link").first();
  const range = await price.locator(".facet__name").innerText();
  await price.click();
  await expect(page).toHaveURL(/subject=.*price=/);
  await page.getByLabel("Sort").selectOption({ label: "Price: low to high" });
  await page.getByLabel("In stock only").check();
  await page.getByRole("button", { name: "Apply" }).click();
  await expect(page).toHaveURL(/in_stock=true/);
  await expect(page).toHaveURL(/subject=.*price=/);

  const chips = page.getByRole("list", { name: "Filters in use" });
  for (const label of [chosen, range, "In stock"]) await expect(chips.getByRole("link", { name: `Remove filter: ${label}` })).toBeVisible();
  const prices = await page.locator(".hit .card__price").evaluateAll((some) => some.map((one) => Number(/\d+\.\d\d/.exec(one.textContent ?? "")?.[0])));
  expect(prices.length).toBeGreaterThan(0);
  expect(prices).toEqual([...prices].sort((a, b) => a - b));
  const friend = await visit();
  await friend.goto(page.url());
  expect(await titles(friend)).toEqual(await titles(page));

  for (const [label, gone] of [[chosen, /subject=/], [range, /price=/], ["In stock", /in_stock=/]] as const) {
    await chips.getByRole("link", { name: `Remove filter: ${label}` }).click();
    await expect(page).not.toHaveURL(gone);
  }
  await expect(chips).toHaveCount(0);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(all);
});

test("pages of results have numbers that can be shared", async ({ page, visit }) => {
  await page.goto("/search?q=the");
  const pages = page.getByRole("navigation", { name: "Pages" });
  await expect(pages.locator("[aria-current=page]")).toHaveText("Page 1");
  const first = await titles(page);
  await pages.getByRole("link", { name: "Next page" }).click();
  await expect(page).toHaveURL(/page=2$/);
  await expect(pages.locator("[aria-current=page]")).toHaveText("Page 2");
  const second = await titles(page);
  expect(second.length).toBeGreaterThan(0);
  expect(second).not.toEqual(first);
  const friend = await visit();
  await friend.goto(page.url());
  expect(await titles(friend)).toEqual(second);
  await pages.getByRole("link", { name: "Previous page" }).click();
  await expect(page).not.toHaveURL(/page=/);
  expect(await titles(page)).toEqual(first);

  const answer = await page.goto("/search?q=the&page=999");
  expect(answer?.status()).toBe(404);
  await expect(page.getByRole("alert")).toContainText("That page doesn’t exist.");
  await page.getByRole("alert").getByRole("link").click();
  await expect(hits(page).first()).toBeVisible();
});

test("what matches is marked, and a hit goes into the basket where it stands", async ({ page, books }) => {
  const [book] = await books(1);
  await page.goto("/");
  await search(page, book!.title);
  const hit = hits(page).filter({ has: page.getByRole("heading", { name: book!.title, exact: true }) }).first();
  await expect(hit.getByRole("heading").locator("mark").first()).toBeVisible();
  await expect(searchBox(page)).toHaveValue(book!.title);
  await hit.getByRole("button", { name: /^Add to basket/ }).click();
  await expectBasketCount(page, 1);
  await expect(page).toHaveURL(/\/search/);
});

test("a misspelt word is corrected, with a way back", async ({ page }) => {
  await page.goto("/search?q=frankenstien");
  await expect(page.getByText("Results for frankenstein")).toBeVisible();
  await expect(hits(page).getByRole("heading", { name: /Frankenstein/ }).first()).toBeVisible();
  const back = page.getByText("Search instead for").getByRole("link", { name: "frankenstien" });
  await back.click();
  await expect(page).toHaveURL(/exact=true/);
  await expect(page.getByText("Results for")).toHaveCount(0);
  await page.getByText("Did you mean").getByRole("link").click();
  await expect(page).toHaveURL(/q=frankenstein$/i);
  await expect(hits(page).getByRole("heading", { name: /Frankenstein/ }).first()).toBeVisible();
});

test("a suggestion shows the author's titles with cover and price, and searching comes first", async ({ page }) => {
  await page.goto("/about");
  await searchBox(page).pressSequentially("orwel");
  const options = suggestions(page).getByRole("option");
  await expect(options.first()).toHaveText("Search for “orwel”");
  const title = options.filter({ hasText: "Nineteen Eighty-Four" });
  await expect(title).toContainText(/George Orwell.*\$\d+\.\d\d/);
  await expect(title.locator("img")).toHaveAttribute("src", /\/covers\//);
  expect(await barriers(page)).toEqual([]);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/search\?q=orwel$/);
});

test("a search without results shows ways on", async ({ page }) => {
  await page.goto("/search?q=zzzqqqxxx&language=la");
  await expect(page.getByRole("heading", { level: 1 })).toContainText("zzzqqqxxx");
  if ((await hits(page).count()) === 0) {
    await expect(page.getByRole("link", { name: "search without filters" })).toBeVisible();
  }
  await page.goto("/search?q=+");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("All books");
});

test("odd addresses of results give pages that explain themselves", async ({ page }) => {
  for (const odd of [
    "q=sea&cursor=%00%ff",
    "q=sea&sort=nonsense",
    "q=sea&page=-1",
    "q=sea&page=99999999999999999999",
    "q=sea&language=gibberish",
    "q=sea&price=9-1",
    `q=sea&author=${"x".repeat(2_000)}`,
    `q=${"%22%00(*%20AND".repeat(500)}`,
    "q=%22unbalanced",
    "q=title%3A%5B*%20TO%20%2F%2F",
  ]) {
    const answer = await page.goto(`/search?${odd}`);
    expect(answer?.status(), odd).toBeLessThan(500);
    await expect(page.getByRole("heading", { level: 1 }), odd).toHaveCount(1);
    await expect(searchBox(page), odd).toBeVisible();
  }
});

test("staff see the index and edit synonyms, and two at once do not overwrite each other", async ({ staff, visit }) => {
  await staff.goto("/admin");
  await staff.getByRole("navigation", { name: "Back office" }).getByRole("link", { name: "Search" }).click();
  await expect(staff.getByRole("region", { name: "Index" })).toBeVisible();
  const groups = staff.getByRole("textbox", { name: /^Synonyms/ });
  const second = await visit({ storageState: process.env.SHOP_STAFF ?? "" });
  await second.goto("/admin/search");

  await groups.fill("lighthouse, pharos\nsf, science fiction");
  await staff.getByRole("button", { name: "Save synonyms" }).click();
  await expect(staff.getByText("Saved 2 groups of synonyms.")).toBeVisible();
  await expect(groups).toHaveValue("lighthouse, pharos\nsf, science fiction");
  await groups.fill("sea, ocean\nalone");
  await staff.getByRole("button", { name: "Save synonyms" }).click();
  await expect(staff.getByRole("alert")).toContainText("Line 2: add at least one synonym for “alone”");

  await second.getByRole("textbox", { name: /^Synonyms/ }).fill("crime, whodunit");
  await second.getByRole("button", { name: "Save synonyms" }).click();
  await expect(second.getByRole("alert")).toContainText("Somebody else saved synonyms");
  await expect(second.getByLabel("Saved version")).toHaveValue("lighthouse, pharos\nsf, science fiction");
  expect(await barriers(second)).toEqual([]);
  await second.getByRole("button", { name: "Save my version" }).click();
  await expect(second.getByText("Saved 1 group of synonyms.")).toBeVisible();
});

test.describe("with scripts switched off", () => {
  test.use({ javaScriptEnabled: false });

  test("the header searches, facets narrow, and a hit is bought", async ({ page }) => {
    await page.goto("/about");
    await page.getByRole("searchbox", { name: "Search books" }).fill("the");
    await page.getByRole("button", { name: "Search" }).click();
    await expect(page).toHaveURL(/\/search\?q=the$/);
    await page.getByText("Filter", { exact: true }).click();
    await page.getByRole("navigation", { name: "Filter by subject" }).getByRole("link").first().click();
    await expect(page).toHaveURL(/subject=/);
    await page.getByLabel("Sort").selectOption({ label: "Title: A to Z" });
    await page.getByRole("button", { name: "Apply" }).click();
    await expect(page).toHaveURL(/sort=title/);
    await expect(page).toHaveURL(/subject=/);
    await hits(page).getByRole("button", { name: /^Add to basket/ }).first().click();
    await expect(page).toHaveURL(/\/basket$/);
    await expectBasketCount(page, 1);
  });
});
