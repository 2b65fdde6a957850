import { barriers } from "../support/barriers";
import { CARD, addToBasket, expectConfirmed, fillAddress, namesTotal, openMail, payWith, placeOrder, settled } from "../support/journey";
import { expect, test } from "../support/test";
import { randomUUID } from "node:crypto";
import type { Page } from "@playwright/test";

/** Staff make a coupon in the back office; its code. */
async function make(staff: Page, code: string, fields: Record<string, string>): Promise<void> {
  await staff.goto("/admin/coupons");
  await staff.getByRole("link", { name: "New coupon" }).click();
  expect(await barriers(staff)).toEqual([]);
  await staff.getByLabel("Code", { exact: true }).fill(code.toLowerCase());
  await staff.getByLabel("Name", { exact: true }).fill("A gift from us");
  for (const [label, value] of Object.entries(fields)) await staff.getByLabel(label).fill(value);
  await staff.getByRole("button", { name: "Create coupon" }).click();
  await expect(staff.getByRole("heading", { level: 1 })).toHaveText(code);
}

const review = (page: Page) => page.getByRole("region", { name: "Review" });
const field = (page: Page) => page.getByLabel("Coupon code (optional)");

test("a code takes something off, is shown with the order, and is used up", async ({ page, person, books, staff, visit }) => {
  const code = `E2E-${randomUUID().slice(0, 8).toUpperCase()}`;
  await make(staff, code, { "How much": "50", "Total uses (optional)": "1" });

  const [book, other] = await books(2);
  await addToBasket(page, book!);
  await page.goto("/checkout");
  await fillAddress(page, person);
  await settled(page);
  await field(page).fill("no-such-code");
  await field(page).press("Enter");
  await expect(review(page)).toContainText("We don’t know this code.");
  await expect(field(page)).toHaveAttribute("aria-invalid", "true");
  await expect(field(page)).toBeFocused();
  await expect(page).toHaveURL(/\/checkout$/);
  expect(await barriers(page)).toEqual([]);
  await field(page).fill(code);
  await page.getByRole("button", { name: "Apply code" }).click();
  await expect(review(page)).toContainText(`${code}: A gift from us`);
  await expect(field(page)).not.toHaveAttribute("aria-invalid", "true");
  await payWith(page, CARD.approved);
  await namesTotal(page);
  await settled(page);
  await placeOrder(page);
  const order = await expectConfirmed(page);
  await expect(page.getByText(`${code}: A gift from us`)).toBeVisible();
  expect(await barriers(page)).toEqual([]);
  await openMail(staff, person.email, /confirm/i);
  await expect(staff.frameLocator("iframe").getByText(`(${code})`)).toBeVisible();

  await staff.goto("/admin/coupons");
  await expect(staff.getByRole("row", { name: new RegExp(code) })).toContainText("Used up");
  expect(await barriers(staff)).toEqual([]);
  await staff.getByRole("link", { name: code }).click();
  await expect(staff.getByRole("link", { name: order.number })).toBeVisible();
  expect(await barriers(staff)).toEqual([]);

  // Whoever comes later reads why, and still sees what it costs.
  const late = await visit();
  await addToBasket(late, other!);
  await late.goto("/checkout");
  await fillAddress(late, { ...person, email: `late-${person.email}` });
  await settled(late);
  await field(late).fill(code);
  await late.getByRole("button", { name: "Apply code" }).click();
  await expect(review(late)).toContainText("This code has reached its limit.");
  await namesTotal(late);
});

test("the Enter key for a code does not keep the address of the country before", async ({ page, person, books }) => {
  const [book] = await books(1);
  await addToBasket(page, book!);
  await page.goto("/checkout");
  await fillAddress(page, person);
  await settled(page);
  // The answer about the country is on its way when the code is asked for.
  let first = true;
  await page.route("**/checkout/summary?*", async (route) => {
    if (first) {
      first = false;
      return; // Never answered: the next question calls it off.
    }
    await route.continue();
  });
  await field(page).fill("no-such-code");
  await page.evaluate(() => {
    const country = document.querySelector<HTMLSelectElement>("#f-country")!;
    country.value = "DE";
    country.dispatchEvent(new Event("change", { bubbles: true }));
  });
  await field(page).press("Enter");
  await settled(page);
  await expect(page.locator("#f-address")).not.toContainText("State");
  await expect(page.getByLabel("Street address")).not.toHaveValue("");
});

test("a code is stopped for good", async ({ staff }) => {
  const code = `E2E-${randomUUID().slice(0, 8).toUpperCase()}`;
  await make(staff, code, { "How much": "5", "Last day (optional)": "2999-12-31" });
  await staff.getByRole("link", { name: "Stop this coupon…" }).click();
  expect(await barriers(staff)).toEqual([]);
  await staff.getByRole("button", { name: "Stop coupon" }).click();
  await expect(staff.getByText("The coupon is stopped.")).toBeVisible();
  await expect(staff.getByText("Stopped", { exact: true }).first()).toBeVisible();
  await staff.goto("/admin/coupons/new");
  await staff.getByLabel("Code", { exact: true }).fill(code);
  await staff.getByRole("button", { name: "Create coupon" }).click();
  await expect(staff.getByRole("alert")).toContainText("Enter a name");
  await staff.getByLabel("Name", { exact: true }).fill("Again");
  await staff.getByLabel("How much").fill("5");
  await staff.getByRole("button", { name: "Create coupon" }).click();
  await expect(staff.getByRole("alert")).toContainText("Another coupon has this code.");
  expect(await barriers(staff)).toEqual([]);
});

test.describe("with scripts switched off", () => {
  test.use({ javaScriptEnabled: false });

  test("a code is applied by its button and refused beside its field", async ({ page, person, books, staff }) => {
    const code = `E2E-${randomUUID().slice(0, 8).toUpperCase()}`;
    await make(staff, code, { "How much": "50" });
    const [book] = await books(1);
    await addToBasket(page, book!);
    await page.goto("/checkout");
    await fillAddress(page, person);
    await field(page).fill("no-such-code");
    await page.getByRole("button", { name: "Apply code" }).click();
    await expect(review(page)).toContainText("We don’t know this code.");
    await expect(page.getByLabel("Street address")).not.toHaveValue("");
    await field(page).fill(code);
    await page.getByRole("button", { name: "Apply code" }).click();
    await expect(review(page)).toContainText(`${code}: A gift from us`);
    await payWith(page, CARD.approved);
    await placeOrder(page);
    await expectConfirmed(page);
    await expect(page.getByText(`${code}: A gift from us`)).toBeVisible();
  });
});
