import type { Page } from "@playwright/test";
import { CARD, addToBasket, expectConfirmed, fillAddress, payWith, placeOrder, settled } from "../support/journey";
import { expect, test } from "../support/test";

/** Shows the form of a country; without scripts a button does. */
async function choose(page: Page, country: string, scripts: boolean): Promise<void> {
  await page.getByLabel("Country").selectOption({ label: country });
  if (scripts) await settled(page);
  else await page.getByRole("button", { name: "Show the form for this country" }).click();
}

for (const scripts of [true, false]) {
  test.describe(scripts ? "with scripts" : "without scripts", () => {
    test.use({ javaScriptEnabled: scripts });

    test("the address form is that of the country", async ({ page, person, books }) => {
      const [book] = await books(1);
      await addToBasket(page, book!);
      await page.goto("/checkout");
      const country = page.getByLabel("Country");
      await expect(country.locator("option").first()).toHaveText("United States");
      await expect(country.locator("option", { hasText: "Antarctica" })).toHaveCount(0);
      await fillAddress(page, person);

      await choose(page, "Hong Kong SAR China", scripts);
      await expect(page.getByLabel("Area")).toBeVisible();
      await expect(page.locator("[name=postal_code]")).toHaveCount(0);
      await expect(page.getByLabel("Street address")).toHaveValue("12 Elm Street");
      await expect(page.getByRole("radio", { name: "International" })).toBeChecked();

      await choose(page, "Ireland", scripts);
      await expect(page.getByLabel(/^Eircode/)).toBeVisible();
      await expect(page.getByLabel(/^County/)).toBeVisible();
      // Nobody chose the dear way that was the only one to Hong Kong.
      await expect(page.getByRole("radio", { name: "Standard" })).toBeChecked();
      await expect(page.getByRole("radio", { name: "International" })).toHaveCount(0);

      await choose(page, "United Kingdom", scripts);
      await expect(page.locator("[name=region]")).toHaveCount(0);
      await page.getByLabel("Town or city").fill("London");
      await page.getByLabel("Postcode").fill("!!!");
      await payWith(page, CARD.approved);
      await placeOrder(page);
      await expect(page.getByLabel("Postcode")).toHaveAccessibleDescription(/Enter a postcode such as EC1Y 8SY\./);
      await page.getByLabel("Postcode").fill("ec1y8sy");
      await placeOrder(page);
      await expectConfirmed(page);
      await expect(page.getByRole("region", { name: "Your order" })).toContainText("EC1Y 8SY");
    });
  });
}
