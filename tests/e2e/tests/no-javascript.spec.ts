import { CARD, addToBasket, basketLink, expectBasketCount, expectConfirmed, fillAddress, payWith, placeOrder, progress } from "../support/journey";
import { expect, test } from "../support/test";

test.use({ javaScriptEnabled: false });

test("a guest buys with scripts switched off", async ({ page, person }) => {
  await page.goto("/");
  await page.getByRole("link", { name: "Browse all books" }).click();
  await page.getByText("Filter and sort").click();
  await page.getByLabel("Sort").selectOption({ label: "Title: A to Z" });
  await page.getByLabel("In stock only").check();
  await page.getByRole("button", { name: "Apply" }).click();
  await expect(page).toHaveURL(/in_stock=true/);
  const card = page.getByRole("region", { name: "Books" }).getByRole("article").nth(4);
  const title = await card.getByRole("heading").innerText();
  await card.getByRole("link").first().click();

  await page.getByRole("button", { name: "Add to basket" }).click();
  await expect(page.getByRole("status").filter({ hasText: "is in your basket" })).toContainText(title);
  await expectBasketCount(page, 1);
  await basketLink(page).click();
  await page.getByLabel(/^Copies of/).fill("2");
  await page.getByRole("button", { name: /^Update/ }).click();
  await expectBasketCount(page, 2);
  await page.getByRole("link", { name: "Go to checkout" }).click();

  await fillAddress(page, person);
  await page.getByLabel("Country").selectOption({ label: "Germany" });
  await page.getByRole("button", { name: /^Update shipping and tax/ }).click();
  await expect(page.getByLabel("Street address")).not.toHaveValue("");
  await expect(page.getByLabel("Country")).toHaveValue("DE");
  await expect(page.getByRole("region", { name: "Review" })).toContainText("Including tax");
  await page.getByRole("radio", { name: "Express" }).check();
  await page.getByRole("button", { name: /^Update shipping and tax/ }).click();
  await expect(page.getByRole("radio", { name: "Express" })).toBeChecked();
  await payWith(page, CARD.approved);
  await placeOrder(page);
  await expectConfirmed(page);
  await expect(page.getByRole("region", { name: "Your order" })).toContainText(title);
  await expectBasketCount(page, 0);
});

test("a total that changed unseen is shown again before anything is paid", async ({ page, person, books }) => {
  const [book] = await books(1);
  await addToBasket(page, book!);
  await page.goto("/checkout");
  await fillAddress(page, person);
  await page.getByLabel("Country").selectOption({ label: "Germany" });
  await page.getByRole("radio", { name: "Express" }).check();
  await placeOrder(page);
  await expect(page.getByRole("alert")).toBeVisible();
  await expect(page.getByLabel("Country")).toHaveValue("DE");
  await placeOrder(page);
  await expectConfirmed(page);
});

test("the bank's question works with scripts switched off", async ({ page, person, books }) => {
  const [book] = await books(1);
  await addToBasket(page, book!);
  await page.goto("/checkout");
  await fillAddress(page, person);
  await page.getByRole("button", { name: /^Update shipping and tax/ }).click();
  await payWith(page, CARD.challenge);
  await placeOrder(page);
  await page.getByRole("button", { name: "Approve payment" }).click();
  const back = page.getByRole("link", { name: "Back to the shop" });
  if (await back.isVisible()) await back.click();
  // The page refreshes itself until the order is settled.
  await expect(progress(page)).toContainText("Order confirmed", { timeout: 20_000 });
});
