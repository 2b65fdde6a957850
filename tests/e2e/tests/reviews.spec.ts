import { signUp } from "../support/journey";
import { expect, test } from "../support/test";
import { randomUUID } from "node:crypto";

/** A half star is chosen by keyboard alone, and what was written outlives a mistake. */
test("a review is written with the keyboard", async ({ visit }) => {
  const page = await visit();
  const mark = randomUUID().slice(0, 8);
  await signUp(page, { name: "Vera Keys", email: `vera-${mark}@example.org`, password: `bread and butter ${mark}` });
  const list = await page.request.get("/api/v1/books?sort=title&limit=1");
  const { items } = (await list.json()) as { items: { id: string }[] };
  await page.goto(`/books/${items[0]!.id}`);
  await page.getByRole("link", { name: "Write a review" }).press("Enter");
  await page.getByLabel("Your review (optional)").fill("Found in a box.\nNever put down.");
  await page.getByRole("button", { name: "Post review" }).press("Enter");
  await expect(page.getByRole("alert")).toContainText("Choose a rating.");
  await expect(page.getByLabel("Your review (optional)")).toHaveValue("Found in a box.\nNever put down.");
  await page.getByRole("link", { name: "Choose a rating." }).press("Enter");
  await expect(page.getByRole("radio", { name: "Half a star" })).toBeFocused();
  await page.keyboard.press("Space");
  for (let step = 0; step < 8; step += 1) await page.keyboard.press("ArrowRight");
  await expect(page.getByRole("radio", { name: "4.5 stars" })).toBeChecked();
  await page.getByRole("button", { name: "Post review" }).press("Enter");
  await expect(page.getByText("You gave it 4.5 out of 5 stars.")).toBeVisible();

  await page.getByRole("link", { name: "How it was checked" }).click();
  await expect(page.getByRole("heading", { name: "What happened to it" })).toBeVisible();
  await page.getByLabel("Why should everybody see it?").fill("I have read it.");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await expect(page.getByText("Our staff will read your review again.")).toBeVisible();
});
