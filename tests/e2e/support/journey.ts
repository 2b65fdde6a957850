import { expect, type Locator, type Page } from "@playwright/test";
import type { Book, Person } from "./test";

/** The sandbox's cards, as the checkout names them; what each does is said behind its name. */
export const CARD = {
  approved: /^Test card: approved(?!,)/,
  declined: /^Test card: declined/,
  challenge: /^Test card: confirm with your bank/,
} as const;

/** What a parcel needs. */
export const ADDRESS = { line1: "12 Elm Street", city: "Springfield", state: "Illinois", postalCode: "62704" };

/** The link to the basket in the header, which also says how many books are in it. */
export function basketLink(page: Page): Locator {
  return page.getByRole("navigation", { name: "Your account" }).getByRole("link", { name: /^Basket/ });
}

/** Expects the header to say how many books are in the basket. */
export async function expectBasketCount(page: Page, count: number): Promise<void> {
  const words = count === 1 ? "1 book" : `${count} books`;
  await expect(basketLink(page)).toHaveAccessibleName(new RegExp(`\\b${words}$`));
}

/** Puts one copy of a book into the basket, from the book's page; `total` is how many books are in it then. */
export async function addToBasket(page: Page, book: Book, total = 1): Promise<void> {
  await page.goto(book.path);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(book.title);
  await page.getByRole("button", { name: "Add to basket" }).click();
  await expectBasketCount(page, total);
}

/** Types where it goes to. A customer's e-mail is known; a guest types it. */
export async function fillAddress(page: Page, person: Person, { guest = true } = {}): Promise<void> {
  if (guest) await page.getByLabel("Email", { exact: true }).fill(person.email);
  await page.getByLabel("Full name").fill(person.name);
  await page.getByLabel("Street address").fill(ADDRESS.line1);
  await page.getByLabel("City", { exact: true }).fill(ADDRESS.city);
  await page.getByLabel("State", { exact: true }).selectOption({ label: ADDRESS.state });
  await page.getByLabel("ZIP code").fill(ADDRESS.postalCode);
}

/** Chooses how to pay. */
export async function payWith(page: Page, card: RegExp): Promise<void> {
  await page.getByRole("radio", { name: card }).check();
}

/** Waits until the review shows what the form says: the island asks for it after each change. */
export async function settled(page: Page): Promise<void> {
  await expect(page.locator("form.checkout")).not.toHaveAttribute("aria-busy", "true");
}

/** Sends the order. The button names the total once it is known; without scripts that is after the form was sent. */
export async function placeOrder(page: Page): Promise<void> {
  await page.getByRole("button", { name: /^(Pay |Place order$)/ }).click();
}

/** Waits until the button names the total: an order that is sent before is answered with the total to check. */
export async function namesTotal(page: Page): Promise<void> {
  await expect(page.getByRole("button", { name: /^Pay / })).toBeVisible();
}

/** Buys what is in the basket and waits for the confirmation; gives the order's path with its key, and its number. */
export async function buy(page: Page, person: Person, { guest = true } = {}): Promise<Placed> {
  await page.goto("/checkout");
  await fillAddress(page, person, { guest });
  await payWith(page, CARD.approved);
  await namesTotal(page);
  await placeOrder(page);
  return expectConfirmed(page);
}

/** An order, as its page tells it. */
export interface Placed {
  id: string;
  /** Path and key: what the customer's link holds. */
  path: string;
  number: string;
}

/** The part of an order's page that says where it stands. */
export function progress(page: Page): Locator {
  return page.getByRole("region", { name: "Progress" });
}

/** Expects this page to be that of a confirmed order. */
export async function expectConfirmed(page: Page): Promise<Placed> {
  await expect(page).toHaveURL(/\/orders\/[0-9a-f-]{36}/);
  await expect(progress(page)).toContainText("Order confirmed");
  await expect(progress(page).locator(".badge")).toHaveText("Confirmed");
  return readOrder(page);
}

/** Reads which order this page shows. */
export async function readOrder(page: Page): Promise<Placed> {
  const url = new URL(page.url());
  const eyebrow = await page.getByText(/^Order \S+$/).first().innerText();
  return {
    id: url.pathname.split("/").pop() ?? "",
    path: url.pathname + url.search,
    // The page may show it in capitals.
    number: eyebrow.replace(/^order\s+/i, ""),
  };
}

/** Creates an account and is signed in then. */
export async function signUp(page: Page, person: Person): Promise<void> {
  await page.goto("/sign-up");
  await page.getByLabel("Name", { exact: true }).fill(person.name);
  await page.getByLabel("Email", { exact: true }).fill(person.email);
  await page.getByLabel("Password").fill(person.password);
  await page.getByRole("button", { name: "Create account" }).click();
  await expect(page.getByText(`Welcome, ${person.name}`)).toBeVisible();
}

/** Signs in, from the page that this one is. */
export async function signIn(page: Page, { email, password }: { email: string; password: string }): Promise<void> {
  await page.getByLabel("Email", { exact: true }).fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("link", { name: /your account$/ })).toBeVisible();
}

/** Waits until the back office lists a mail to this address with such a subject, and opens it. */
export async function openMail(staff: Page, to: string, subject: RegExp): Promise<void> {
  const mail = staff.getByRole("row").filter({ hasText: to }).getByRole("link", { name: subject });
  await expect(async () => {
    await staff.goto("/admin/mail");
    await expect(mail.first()).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 15_000 });
  await mail.first().click();
  await expect(staff.getByRole("heading", { level: 1 })).toHaveText(subject);
}

/** Presses a key until this has the focus. */
export async function tabTo(page: Page, target: Locator, key = "Tab", most = 120): Promise<void> {
  await expect(target).toBeVisible();
  for (let pressed = 0; pressed < most; pressed++) {
    if (await target.evaluate((element) => element === document.activeElement)) {
      const seen = await target.evaluate((element) => {
        const style = getComputedStyle(element);
        return style.outlineStyle !== "none" || style.boxShadow !== "none";
      });
      expect(seen, "what has the focus shows it").toBe(true);
      return;
    }
    await page.keyboard.press(key);
  }
  throw new Error(`${most} times ${key} did not reach ${target}`);
}
