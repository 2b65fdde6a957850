import { addToBasket, buy, openMail, progress, signUp } from "../support/journey";
import { expect, test } from "../support/test";

test("staff ship and complete an order, and the customer's page follows by itself", async ({ page, person, books, staff }) => {
  const [book] = await books(1);
  await addToBasket(page, book!);
  const order = await buy(page, person);
  // Any reload would forget this.
  await page.evaluate(() => Object.assign(window, { untouched: true }));

  await staff.goto("/admin");
  await staff.getByRole("navigation", { name: "Back office" }).getByRole("link", { name: "Orders" }).click();
  await staff.getByRole("link", { name: order.number }).click();
  await staff.getByLabel("Tracking number").fill("JD 0146 0000 7");
  await staff.getByRole("button", { name: "Mark as shipped" }).click();
  await expect(staff.getByText("Order marked as shipped.")).toBeVisible();

  await expect(progress(page)).toContainText("Shipped", { timeout: 20_000 });
  await expect(progress(page).locator(".badge")).toHaveText("Shipped", { timeout: 20_000 });
  await expect(progress(page)).toContainText("JD 0146 0000 7");
  expect(await page.evaluate(() => "untouched" in window)).toBe(true);

  await staff.getByRole("button", { name: "Mark as delivered" }).click();
  await expect(staff.getByText("Order marked as delivered.")).toBeVisible();
  await expect(progress(page).locator(".badge")).toHaveText("Delivered", { timeout: 20_000 });
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Delivered");
  await openMail(staff, person.email, /on its way|shipped|sent/i);
});

test("staff cancel an order: the money and the copies go back", async ({ page, person, books, staff }) => {
  const [book] = await books(1);
  const inTheHouse = async (): Promise<string> => {
    await staff.goto(`/admin/stock/${book!.id}`);
    return staff.locator("dl.figures").innerText();
  };
  const before = await inTheHouse();
  await addToBasket(page, book!);
  const order = await buy(page, person);
  await staff.goto(`/admin/orders/${order.id}`);
  await staff.getByRole("link", { name: "Cancel order" }).click();
  await expect(staff.getByRole("heading", { level: 1 })).toHaveText(`Cancel order ${order.number}?`);
  await staff.getByLabel("Reason (optional)").fill("Asked by phone");
  await staff.getByRole("button", { name: /^Cancel order/ }).click();
  await expect(staff.getByText("Order cancelled.")).toBeVisible();
  await expect(staff.getByRole("heading", { level: 1 })).toContainText("Cancelled");
  await page.reload();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("This order is cancelled");
  await expect(async () => expect(await inTheHouse()).toBe(before)).toPass({ timeout: 15_000 });
  await openMail(staff, person.email, /cancel/i);
});

test("customers cancel their own orders until they are sent", async ({ page, person, books }) => {
  const [book] = await books(1);
  await signUp(page, person);
  await addToBasket(page, book!);
  await buy(page, person, { guest: false });
  await page.getByRole("link", { name: /^Cancel this order/ }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(/^Cancel order BW-.*\?$/);
  await page.getByRole("link", { name: "Keep it" }).click();
  await page.getByRole("link", { name: /^Cancel this order/ }).click();
  await page.getByRole("button", { name: "Cancel this order" }).click();
  await expect(page.getByText("Your order is cancelled.")).toBeVisible();
  await expect(page.getByRole("link", { name: /^Cancel this order/ })).toHaveCount(0);
  await expect(page.getByText("Payment: Refunded").or(page.getByText("Payment: Authorization released"))).toBeVisible({ timeout: 20_000 });
});

test("staff refund a part of an order, once", async ({ page, person, books, staff }) => {
  const [book] = await books(1);
  await addToBasket(page, book!);
  const order = await buy(page, person);
  await staff.goto(`/admin/orders/${order.id}`);
  await expect(async () => {
    await staff.reload();
    await expect(staff.getByText("Paid", { exact: true })).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 15_000 });
  await staff.getByRole("link", { name: "Refund" }).click();
  await staff.getByLabel(/^Refund amount/).fill("99999");
  await staff.getByLabel("Reason", { exact: true }).fill("A bent corner");
  await staff.getByRole("button", { name: "Review refund" }).click();
  await expect(staff.locator(".field__error")).toContainText("At most");
  await staff.getByLabel(/^Refund amount/).fill("1.50");
  await staff.getByRole("button", { name: "Review refund" }).click();
  await expect(staff.getByRole("heading", { level: 1 })).toContainText(`for order ${order.number}?`);
  await staff.getByRole("button", { name: /^Refund/ }).dblclick();
  await expect(staff.getByText(/^Refund of .*1\.50 started\.$/)).toBeVisible();
  await expect(async () => {
    await staff.reload();
    await expect(staff.getByText("Partly refunded")).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 15_000 });
  await expect(staff.locator("dl.totals")).toContainText(/Refunded\s*−\D*1\.50/);
  await expect(staff.getByRole("listitem").filter({ hasText: /Refunded .*1\.50: A bent corner by / })).toBeVisible();
  await openMail(staff, person.email, /refund|money/i);

  await staff.goto("/admin/payments/reconciliation");
  await expect(staff.getByRole("heading", { level: 1 })).toHaveText("Reconciliation");
});

test("staff adjust stock and are told why not", async ({ books, staff }) => {
  const [book] = await books(1);
  await staff.goto("/admin/stock");
  await staff.getByLabel("Title, author or ISBN").fill(book!.title);
  await staff.getByRole("button", { name: "Find" }).click();
  await staff.getByRole("row").getByRole("link", { name: book!.title, exact: true }).first().click();
  const figure = staff.locator("dl.figures dd").first();
  const before = Number(await figure.innerText());
  await staff.getByLabel("Adjust by").fill("12");
  await staff.getByLabel("Reason").fill("A box from the publisher");
  await staff.getByRole("button", { name: "Save" }).click();
  await expect(staff.getByRole("status").filter({ hasText: "Stock updated" })).toContainText(`${before + 12}`);
  await expect(figure).toHaveText(String(before + 12));

  await staff.getByLabel("Adjust by").fill("twelve");
  await staff.getByLabel("Reason").fill("A slip of the finger");
  await staff.getByRole("button", { name: "Save" }).click();
  await expect(staff.locator(".field__error")).toContainText("Enter a whole number such as 12 or -3.");
  await expect(staff.getByLabel("Adjust by")).toHaveValue("twelve");

  await staff.getByLabel("Adjust by").fill("-100000");
  await staff.getByLabel("Reason").fill("A slip of the finger");
  await staff.getByRole("button", { name: "Save" }).click();
  await expect(staff.getByRole("alert")).toBeVisible();
  await expect(figure).toHaveText(String(before + 12));
});

test("staff put a book on the shelves, change it and take it away", async ({ staff, page, person }) => {
  const title = `A Book for ${person.name}`;
  await staff.goto("/admin/books");
  await staff.getByRole("link", { name: "Add book" }).click();
  await staff.getByRole("button", { name: "Save" }).click();
  await expect(staff.getByRole("alert")).toBeVisible();
  await staff.getByLabel("Title", { exact: true }).fill(title);
  await staff.getByLabel(/^Authors/).fill("Ann Author");
  await staff.getByLabel(/^Price/).fill("12.50");
  await staff.getByRole("button", { name: "Save" }).click();
  await expect(staff.getByRole("status").first()).toBeVisible();
  await staff.goto("/admin/books");
  const row = staff.getByRole("row").getByRole("link", { name: title });
  // A new book is found within a second, not at once: the index follows the catalogue.
  await expect(async () => {
    await staff.getByLabel("Title, author or ISBN").fill(title);
    await staff.getByRole("button", { name: "Find" }).click();
    await expect(row).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 10_000 });
  await row.click();
  await staff.getByLabel(/^Price/).fill("9.75");
  await staff.getByRole("button", { name: "Save" }).click();
  const id = staff.url().split("/").pop()?.split("?")[0];
  await expect(async () => {
    await page.goto(`/books/${id}`);
    await expect(page.locator(".buy__price")).toContainText("9.75", { timeout: 500 });
  }).toPass({ timeout: 10_000 });
  await staff.goto(`/admin/books/${id}`);
  await staff.getByRole("link", { name: "Unlist this book" }).click();
  await staff.getByRole("button", { name: "Unlist book" }).click();
  await expect(async () => {
    const answer = await page.goto(`/books/${id}`);
    expect(answer?.status()).toBe(404);
  }).toPass({ timeout: 10_000 });
});

test("staff import books from a file: they see what would happen, name a column, and follow it", async ({ staff, person, page }) => {
  const mark = person.name.split(" ").at(-1)!;
  // Sold out: other tests buy what is in stock.
  const rows = Array.from({ length: 1_200 }, (_, n) => `${mark}-${n};Imported ${mark} ${n};Imogen ${mark};${n === 7 ? "cheap" : "12,50"};0`);
  const file = `SKU;Title;Author;Betrag;Stock\n${rows.join("\n")}\n`;
  await staff.goto("/admin/books");
  await staff.getByRole("link", { name: "Import books" }).click();
  await staff.getByRole("button", { name: "Upload and check" }).click();
  await expect(staff.getByRole("alert")).toContainText("Choose a file.");
  await staff.getByLabel("File", { exact: true }).setInputFiles({ name: `Bücher ${mark}.csv`, mimeType: "application/vnd.ms-excel", buffer: Buffer.from(file) });
  await staff.getByRole("button", { name: "Upload and check" }).click();
  await expect(staff.getByRole("heading", { level: 1 })).toHaveText(`Bücher ${mark}.csv`);
  // The page follows by itself.
  await expect(staff.getByText("No column was recognised as the price")).toBeVisible({ timeout: 20_000 });
  await staff.getByLabel("Betrag").selectOption({ label: "Price" });
  await staff.getByRole("button", { name: "Save and check again" }).click();
  await expect(staff.getByText("Records that won’t be imported")).toBeVisible({ timeout: 20_000 });
  await expect(staff.getByRole("row").filter({ hasText: "cheap" })).toContainText("Betrag");
  await staff.getByRole("button", { name: "Import 1,199 books" }).click();
  await expect(staff.locator(".import__state")).toContainText("The import is done.", { timeout: 60_000 });
  await expect(staff.locator("dl.figures")).toContainText("1,199");
  const download = staff.waitForEvent("download");
  await staff.getByRole("link", { name: "Download the report (CSV)" }).click();
  expect((await download).suggestedFilename()).toBe("import-report.csv");
  await expect(async () => {
    await page.goto(`/books?author=${encodeURIComponent(`Imogen ${mark}`)}`);
    await expect(page.getByRole("link", { name: `Imported ${mark}` }).first()).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 20_000 });
});

test("staff merge two authors, and old links lead on", async ({ staff, person, page }) => {
  const mark = person.name.split(" ").at(-1)!;
  for (const [title, author] of [["One", `Ursula K. Vale ${mark}`], ["Two", `U. Vale ${mark}`]] as const) {
    await staff.goto("/admin/books/new");
    await staff.getByLabel("Title", { exact: true }).fill(`${title} ${mark}`);
    await staff.getByLabel(/^Authors/).fill(author);
    await staff.getByLabel(/^Price/).fill("5");
    await staff.getByRole("button", { name: "Save" }).click();
    await expect(staff.getByRole("status").first()).toBeVisible();
  }
  await staff.goto("/admin/books");
  await staff.getByRole("link", { name: "Authors", exact: true }).click();
  const row = staff.getByRole("row").filter({ hasText: mark });
  await expect(row).toHaveCount(1);
  await row.getByRole("link", { name: /^Merge/ }).click();
  await expect(staff.getByRole("heading", { level: 1 })).toContainText(/^Merge .* into .*\?$/);
  const kept = (await staff.getByRole("heading", { level: 1 }).innerText()).replace(/^.* into (.*)\?$/, "$1");
  await staff.getByRole("button", { name: "Merge" }).click();
  await expect(staff.getByText(`Merged. ${kept} has 2 books now.`)).toBeVisible();
  const gone = kept.startsWith("Ursula") ? `U. Vale ${mark}` : `Ursula K. Vale ${mark}`;
  await page.goto(`/books?author=${encodeURIComponent(gone)}`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Books by ${kept}`);
  await staff.getByRole("checkbox", { name: new RegExp(`^Two ${mark}`) }).check();
  await staff.getByLabel("Name of the other author").last().fill(gone);
  await staff.getByRole("button", { name: "Split" }).click();
  await expect(staff.getByText(`Split. ${gone} has 1 book now.`)).toBeVisible();
});

test("the office shows failed events, payments and the ledger", async ({ staff }) => {
  await staff.goto("/admin/dead-letters");
  await expect(staff.getByRole("heading", { level: 2, name: "No failed events" })).toBeVisible();
  await staff.goto("/admin/payments");
  await expect(staff.getByRole("heading", { level: 1 })).toHaveText("Payments");
  await staff.goto("/admin");
  await expect(staff.getByRole("heading", { level: 2, name: "Ledger" })).toBeVisible();
});

test("the office shows the processes, and refreshes them without losing the focus", async ({ staff, visit }) => {
  await staff.clock.install();
  await staff.goto("/admin/fleet");
  await expect(staff.getByText("The whole shop runs in one process.")).toBeVisible();
  await expect(staff.getByRole("link", { name: "Refresh" })).toBeHidden();
  let looks = 0;
  await staff.route("**/admin/fleet/status", (route) => {
    looks += 1;
    const table = `<div id="fleet-table" tabindex="0" role="region" aria-label="Roles and processes">Look ${looks}.</div>`;
    return route.fulfill({ contentType: "text/html", body: `<section id="fleet" data-every="5000" data-announce="Now">${table}</section>` });
  });
  const table = staff.getByRole("region", { name: "Roles and processes" });
  await staff.clock.runFor(6_000);
  await expect(table).toHaveText("Look 1.");
  await table.focus();
  await staff.clock.runFor(6_000);
  await expect(table).toHaveText("Look 2.");
  await expect(table).toBeFocused();

  const plain = await visit({ storageState: process.env.SHOP_STAFF ?? "", javaScriptEnabled: false });
  await plain.goto("/admin/fleet");
  await plain.getByRole("link", { name: "Refresh" }).click();
  await expect(plain.getByText("The whole shop runs in one process.")).toBeVisible();
});

test("the office shows the shop's health, and refreshes it when the shop says so", async ({ staff, visit }) => {
  await staff.goto("/admin/health");
  await expect(staff.getByText("1 process, ready.")).toBeVisible();
  await expect(staff.getByRole("link", { name: "Refresh" })).toBeHidden();
  const requests = staff.getByRole("figure", { name: "Requests", exact: true });
  await expect(requests.getByRole("img", { name: /^Requests.* two hours/ })).toBeVisible();
  await requests.getByText("Values").click();
  await expect(requests.getByRole("row")).toHaveCount(14);
  const looked = staff.locator("#health time").first();
  const before = await looked.getAttribute("datetime");
  await expect(looked).not.toHaveAttribute("datetime", before ?? "", { timeout: 60_000 });
  await expect(requests.getByRole("row").first(), "what was unfolded stays so").toBeVisible();

  const plain = await visit({ storageState: process.env.SHOP_STAFF ?? "", javaScriptEnabled: false });
  await plain.goto("/admin/health");
  await plain.getByRole("link", { name: "Refresh" }).click();
  await expect(plain.getByText("1 process, ready.")).toBeVisible();
});

test("the office is for staff", async ({ page, person }) => {
  await page.goto("/admin/orders");
  await expect(page).toHaveURL(/\/sign-in\?next=%2Fadmin%2Forders/);
  await signUp(page, person);
  const answer = await page.goto("/admin/orders");
  expect(answer?.status()).toBe(403);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Staff only");
});
