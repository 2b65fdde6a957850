import { barriers } from "../support/barriers";
import { signUp } from "../support/journey";
import { expect, test } from "../support/test";
import { randomUUID } from "node:crypto";

/** Staff go through the queue by keys alone; each key does what a button does, and a reason can hold any letter. */
test("staff decide about reviews with keys", async ({ visit, staff }) => {
  const mark = randomUUID().slice(0, 8);
  const author = await visit();
  await signUp(author, { name: "Quentin Queue", email: `quentin-${mark}@example.org`, password: `bread and butter ${mark}` });
  const { items } = (await (await author.request.get("/api/v1/books?sort=title&limit=3")).json()) as { items: { id: string }[] };
  for (const [place, book] of items.entries()) {
    await author.goto(`/books/${book.id}/review`);
    await author.getByRole("radio", { name: "4 stars" }).check();
    await author.getByLabel("Title (optional)").fill(`Queue ${mark} ${place}`);
    await author.getByRole("button", { name: "Post review" }).click();
  }

  await staff.goto("/admin/reviews?queue=waiting");
  await expect(staff.getByText("Keys:")).toBeVisible();
  expect(await barriers(staff)).toEqual([]);
  const focused = (): Promise<string> => staff.evaluate(() => document.activeElement?.closest(".case")?.querySelector("h2")?.textContent ?? "");
  await staff.keyboard.press("j");
  const first = await focused();
  await staff.keyboard.press("j");
  const second = await focused();
  expect(second).not.toBe(first);
  await staff.keyboard.press("k");
  expect(await focused()).toBe(first);

  // Without a reason nothing is hidden: the field for it takes the focus, and letters are letters there.
  await staff.keyboard.press("h");
  await expect(staff.locator("textarea:focus")).toBeVisible();
  await staff.keyboard.type("hop and jump");
  await expect(staff.locator("textarea:focus")).toHaveValue("hop and jump");
  await staff.keyboard.press("Escape");
  expect(await focused()).toBe(first);
  await staff.keyboard.press("h");
  await expect(staff.getByText("The review is hidden.")).toBeVisible();

  await staff.goto("/admin/reviews?queue=waiting");
  await staff.getByLabel("Use these keys").uncheck();
  await staff.reload();
  await expect(staff.getByLabel("Use these keys")).not.toBeChecked();
  await staff.keyboard.press("j");
  expect(await focused()).toBe("");
  await staff.getByLabel("Use these keys").check();
  await staff.keyboard.press("j");
  await staff.keyboard.press("p");
  await expect(staff.getByText("The review is published.")).toBeVisible();
});
