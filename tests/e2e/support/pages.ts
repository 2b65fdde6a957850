import { type Browser, type BrowserContextOptions, type Page, expect } from "@playwright/test";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ask, choose, openChat } from "./chat";
import { CARD, addToBasket, buy, fillAddress, openMail, payWith, placeOrder, signUp } from "./journey";
import { type Book, shopUrl } from "./test";

type State = Awaited<ReturnType<import("@playwright/test").BrowserContext["storageState"]>>;

/** People and things that every kind of page needs to be shown. */
export interface World {
  /** A guest with three books in the basket. */
  basket: State;
  customer: State;
  staff: State;
  book: Book;
  /** A confirmed order of a guest, and its link. */
  order: { id: string; path: string };
  /** An order of the customer that was cancelled, and one that is on its way. */
  cancelled: string;
  shipped: string;
  rejected: string;
  /** A payment that waits at the bank, and the order that waits for it. */
  challenge: string;
  waiting: string;
  mail: string;
  /** A link that sets a new password, as mailed. */
  reset: string;
}

/** One kind of page: how it is reached, by whom, and with which status it answers. */
export interface Kind {
  name: string;
  who?: "basket" | "customer" | "staff";
  path: (world: World) => string;
  status?: number;
  /** What is done on the page before it is looked at. */
  act?: (page: Page) => Promise<void>;
}

/** Every kind of page that the shop has. The API's document under `/docs` is Swagger UI's, not ours. */
export const KINDS: Kind[] = [
  { name: "home", path: () => "/" },
  { name: "books", path: () => "/books" },
  { name: "books-filtered", path: () => "/books?language=en&price=1000-1999&in_stock=true&sort=-price" },
  { name: "books-none", path: () => "/books?subject=No%20such%20subject&in_stock=true" },
  { name: "search", path: () => "/search?q=the+sea" },
  { name: "search-narrowed", path: () => "/search?q=the&in_stock=true&sort=price&page=2" },
  { name: "search-none", path: () => "/search?q=zzzqqqxxx" },
  { name: "search-none-filtered", path: () => "/search?q=zzzqqqxxx&language=la&in_stock=true" },
  { name: "search-beyond", path: () => "/search?q=the&page=999", status: 404 },
  { name: "search-refused", path: () => "/search?q=the&language=gibberish&sort=odd", status: 400 },
  { name: "search-suggestions", path: () => "/", act: suggestions },
  { name: "book", path: (world) => world.book.path },
  { name: "book-added", path: (world) => world.book.path, act: add },
  { name: "basket-empty", path: () => "/basket" },
  { name: "basket", who: "basket", path: () => "/basket" },
  { name: "checkout", who: "basket", path: () => "/checkout" },
  { name: "checkout-errors", who: "basket", path: () => "/checkout", act: (page) => placeOrder(page).then(() => errors(page)) },
  { name: "basket-refused", who: "basket", path: () => "/basket", act: tooMany },
  { name: "checkout-customer", who: "customer", path: () => "/checkout" },
  { name: "order-confirmed", path: (world) => world.order.path },
  { name: "order-waiting", path: (world) => world.waiting },
  { name: "order-cancelled", who: "customer", path: (world) => `/orders/${world.cancelled}` },
  { name: "order-shipped", who: "customer", path: (world) => `/orders/${world.shipped}` },
  { name: "order-cancel-question", path: (world) => world.order.path.replace("?", "/cancel?") },
  { name: "order-rejected", path: (world) => world.rejected },
  { name: "bank", path: (world) => world.challenge },
  { name: "bank-nothing", path: () => "/sandbox/challenge/01890000-0000-7000-8000-000000000000", status: 404 },
  { name: "sign-in", path: () => "/sign-in" },
  { name: "sign-in-errors", path: () => "/sign-in", act: (page) => press(page, "Sign in") },
  { name: "forgot-password", path: () => "/forgot-password" },
  { name: "reset-password", path: (world) => world.reset },
  { name: "reset-password-expired", path: () => "/reset-password?token=abc", status: 400 },
  { name: "reset-password-incomplete", path: () => "/reset-password", status: 400 },
  { name: "sign-up", path: () => "/sign-up" },
  { name: "sign-up-errors", path: () => "/sign-up", act: (page) => press(page, "Create account") },
  { name: "account", who: "customer", path: () => "/account" },
  { name: "account-empty", who: "staff", path: () => "/account" },
  { name: "orders", who: "customer", path: () => "/orders" },
  { name: "orders-empty", who: "staff", path: () => "/orders" },
  { name: "about", path: () => "/about" },
  { name: "shipping", path: () => "/shipping-and-returns" },
  { name: "privacy", path: () => "/privacy" },
  { name: "contact", path: () => "/contact" },
  { name: "policies", path: () => "/policies" },
  { name: "policy", path: () => "/policies/returns" },
  { name: "chat-open", path: () => "/about", act: (page) => openChat(page).then(() => undefined) },
  { name: "chat-ended", path: (world) => world.book.path, act: endChat },
  { name: "error-explained", path: () => "/errors/insufficient_stock" },
  { name: "status", path: () => "/status" },
  { name: "not-found", path: () => "/no/such/page", status: 404 },
  { name: "staff-only", who: "customer", path: () => "/admin", status: 403 },
  { name: "office", who: "staff", path: () => "/admin" },
  { name: "office-orders", who: "staff", path: () => "/admin/orders" },
  { name: "office-orders-none", who: "staff", path: () => "/admin/orders?q=nothing-has-this-number" },
  { name: "office-order", who: "staff", path: (world) => `/admin/orders/${world.order.id}` },
  { name: "office-order-open", who: "staff", path: (world) => `/admin/orders/${world.shipped}`, act: unfold },
  { name: "office-order-cancel", who: "staff", path: (world) => `/admin/orders/${world.order.id}/cancel` },
  { name: "office-order-refund", who: "staff", path: (world) => `/admin/orders/${world.order.id}/refund`, act: (page) => press(page, "Review refund") },
  { name: "office-book-delete", who: "staff", path: (world) => `/admin/books/${world.book.id}/delete` },
  { name: "office-stock-errors", who: "staff", path: (world) => `/admin/stock/${world.book.id}`, act: (page) => press(page, "Save") },
  { name: "office-books", who: "staff", path: () => "/admin/books" },
  { name: "office-book-new", who: "staff", path: () => "/admin/books/new" },
  { name: "office-book-errors", who: "staff", path: () => "/admin/books/new", act: (page) => press(page, "Save") },
  { name: "office-book", who: "staff", path: (world) => `/admin/books/${world.book.id}` },
  { name: "office-import", who: "staff", path: () => "/admin/books/import" },
  { name: "office-import-errors", who: "staff", path: () => "/admin/books/import", act: (page) => press(page, "Upload and check") },
  { name: "office-import-ready", who: "staff", path: () => "/admin/books/import", act: uploaded },
  { name: "office-import-unreadable", who: "staff", path: () => "/admin/books/import", act: unreadable },
  { name: "office-authors", who: "staff", path: () => "/admin/books/authors?q=a" },
  { name: "office-author", who: "staff", path: () => "/admin/books/authors?q=a", act: firstAuthor },
  { name: "office-stock", who: "staff", path: () => "/admin/stock" },
  { name: "office-stock-book", who: "staff", path: (world) => `/admin/stock/${world.book.id}` },
  { name: "office-search", who: "staff", path: () => "/admin/search" },
  { name: "office-desk", who: "staff", path: () => "/admin/chat", act: connected },
  { name: "office-desk-help", who: "staff", path: () => "/admin/chat", act: (page) => connected(page).then(() => page.getByRole("button", { name: "Shortcuts" }).click()) },
  { name: "office-replies", who: "staff", path: () => "/admin/chat/replies" },
  { name: "office-payments", who: "staff", path: () => "/admin/payments" },
  { name: "office-reconciliation", who: "staff", path: () => "/admin/payments/reconciliation" },
  { name: "office-mails", who: "staff", path: () => "/admin/mail" },
  { name: "office-mail", who: "staff", path: (world) => world.mail },
  { name: "office-dead-letters", who: "staff", path: () => "/admin/dead-letters" },
  { name: "office-traces", who: "staff", path: () => "/admin/traces" },
  { name: "office-traces-none", who: "staff", path: () => "/admin/traces?name=nothing-is-called-this" },
  { name: "office-trace", who: "staff", path: (world) => `/admin/traces/${world.order.id}`, act: unfoldAll },
  { name: "office-coupons", who: "staff", path: () => "/admin/coupons" },
  { name: "office-coupon-new", who: "staff", path: () => "/admin/coupons/new" },
  { name: "office-coupon-errors", who: "staff", path: () => "/admin/coupons/new", act: (page) => press(page, "Create coupon") },
  { name: "office-reviews", who: "staff", path: () => "/admin/reviews" },
  { name: "own-reviews", who: "customer", path: () => "/account/reviews" },
  { name: "review-form", who: "customer", path: (world) => `/books/${world.book.id}/review` },
  { name: "office-health", who: "staff", path: () => "/admin/health", act: unfoldAll },
  { name: "office-processes", who: "staff", path: () => "/admin/fleet" },
];

/** A file with books to add, one that is rejected, and a detail that is left out. */
async function uploaded(page: Page): Promise<void> {
  const file = "SKU;Titel;Autor;Preis;ISBN;Seiten;Regal\nP1;Ein Buch;Ann Author;12,90;;200;A\nP2;Noch eins;Bea Author;teuer;;;B\nP3;Drittes;Ann Author;9,00;;viele;C\n";
  await upload(page, "Bücher.csv", file);
  await page.getByRole("heading", { name: "Columns" }).waitFor();
}

async function unreadable(page: Page): Promise<void> {
  await upload(page, "books.xlsx", "PK\u0003\u0004 xl/workbook.xml");
  await page.getByText("Not readable").waitFor();
}

async function upload(page: Page, name: string, content: string): Promise<void> {
  await page.getByLabel("File", { exact: true }).setInputFiles({ name, mimeType: "text/csv", buffer: Buffer.from(content) });
  await page.getByRole("button", { name: "Upload and check" }).click();
}

/** What every kind of page needs: made by the first worker that asks, read by the others. */
export async function theWorld(browser: Browser): Promise<World> {
  const file = process.env.SHOP_WORLD ?? "";
  try {
    mkdirSync(`${file}.lock`);
  } catch {
    while (!existsSync(file)) await sleep(100);
    return JSON.parse(readFileSync(file, "utf8")) as World;
  }
  const world = await furnish(browser);
  writeFileSync(`${file}.new`, JSON.stringify(world));
  renameSync(`${file}.new`, file);
  return world;
}

async function furnish(browser: Browser): Promise<World> {
  const mark = randomUUID().slice(0, 8);
  const open = async (options: BrowserContextOptions = {}): Promise<Page> => {
    const context = await browser.newContext({ baseURL: shopUrl(), ...options });
    return context.newPage();
  };
  const someone = (name: string) => ({ name, email: `${name.split(" ")[0]!.toLowerCase()}-${mark}@example.org`, password: `bread and butter ${mark}` });

  const page = await open();
  const list = await page.request.get("/api/v1/books?in_stock=true&limit=100&sort=rating");
  const plenty = ((await list.json()) as { items: { id: string; title: string; available: number }[] }).items
    .filter((book) => book.available >= 5)
    .map(({ id, title }) => ({ id, title, path: `/books/${id}` }));
  const [book, second, third] = plenty;
  if (!book || !second || !third) throw new Error("too few books in stock");

  const guest = someone("Mary Guest");
  await addToBasket(page, book);
  const order = await buy(page, guest);
  for (const [place, one] of [book, second, third].entries()) await addToBasket(page, one, place + 1);
  const basket = await page.context().storageState();

  const bank = await open();
  await addToBasket(bank, second);
  await bank.goto("/checkout");
  await fillAddress(bank, someone("Nora Waits"));
  await payWith(bank, CARD.challenge);
  await placeOrder(bank);
  await expect(bank.getByRole("button", { name: "Approve payment" })).toBeVisible();
  const challenge = new URL(bank.url()).pathname + new URL(bank.url()).search;
  const back = await bank.locator("input[name=back]").inputValue();

  const refused = await open();
  await addToBasket(refused, third);
  await refused.goto("/checkout");
  await fillAddress(refused, someone("Otto Refused"));
  await payWith(refused, CARD.challenge);
  await placeOrder(refused);
  await refused.getByRole("button", { name: "Decline" }).click();
  const link = refused.getByRole("link", { name: "Back to the shop" });
  await expect(link.or(refused.getByRole("region", { name: "Progress" }))).toBeVisible();
  if (await link.isVisible()) await link.click();
  await expect(refused.getByRole("region", { name: "Progress" })).toContainText("Order declined");
  const rejected = new URL(refused.url()).pathname + new URL(refused.url()).search;

  const regular = await open();
  const customer = someone("Grace Regular");
  await signUp(regular, customer);
  await addToBasket(regular, second);
  const cancelled = await buy(regular, customer, { guest: false });
  await regular.getByRole("link", { name: /^Cancel this order/ }).click();
  await regular.getByRole("button", { name: "Cancel this order" }).click();
  await addToBasket(regular, third);
  const shipped = await buy(regular, customer, { guest: false });
  await addToBasket(regular, book);

  const office = await open({ storageState: process.env.SHOP_STAFF ?? "" });
  await office.goto(`/admin/orders/${shipped.id}`);
  await office.getByLabel("Tracking number").fill("JD 0146 0000 7");
  await office.getByRole("button", { name: "Mark as shipped" }).click();
  await openMail(office, guest.email, new RegExp(order.number));
  const mail = new URL(office.url()).pathname;
  await page.request.post("/api/v1/identity/password-reset", { data: { email: customer.email } });
  await openMail(office, customer.email, /Reset your .*password/);
  const text = await office.getByRole("region", { name: "Text" }).innerText();
  const sent = new URL(/https?:\S+\/reset-password\?token=\S+/.exec(text)![0]);
  const reset = sent.pathname + sent.search;

  const world = {
    basket,
    customer: await regular.context().storageState(),
    staff: await office.context().storageState(),
    book,
    order,
    cancelled: cancelled.id,
    shipped: shipped.id,
    rejected,
    challenge,
    waiting: back,
    mail,
    reset,
  };
  for (const one of [page, bank, refused, regular, office]) await one.context().close();
  return world;
}

/** Goes to such a page and makes sure that it is the one. */
export async function show(page: Page, kind: Kind, world: World): Promise<void> {
  const answer = await page.goto(kind.path(world));
  expect(answer?.status()).toBe(kind.status ?? 200);
  await kind.act?.(page);
  // A form that was sent leads to a new page: what stands in it can be found before its stylesheet is there.
  await page.waitForLoadState("load");
}

async function errors(page: Page): Promise<void> {
  await expect(page.getByRole("alert")).toBeVisible();
}

async function press(page: Page, name: string): Promise<void> {
  await page.getByRole("button", { name, exact: true }).click();
  await errors(page);
}

async function tooMany(page: Page): Promise<void> {
  const copies = page.getByRole("textbox", { name: /^Copies of/ }).first();
  await copies.fill("500");
  await copies.press("Tab");
  await expect(page.getByText("You can order up to 99 copies of a book.").first()).toBeVisible();
}

async function add(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Add to basket" }).click();
  await expect(page.getByRole("link", { name: "View basket" })).toBeVisible();
}

async function suggestions(page: Page): Promise<void> {
  await page.getByRole("combobox", { name: "Search books" }).pressSequentially("the s");
  await expect(page.getByRole("listbox", { name: "Suggestions" })).toBeVisible();
  await page.keyboard.press("ArrowDown");
}

async function endChat(page: Page): Promise<void> {
  const panel = await openChat(page);
  await ask(panel, "Hello");
  await choose(panel, "End conversation");
  await expect(panel.getByRole("heading", { name: "This conversation has ended" })).toBeVisible();
}

async function connected(page: Page): Promise<void> {
  await expect(page.getByRole("status").filter({ hasText: "Connected" })).toBeVisible();
}

async function firstAuthor(page: Page): Promise<void> {
  await page.locator("#found + ul a").first().click();
  await page.waitForURL(/\/admin\/books\/authors\/[^?]/);
}

async function unfoldAll(page: Page): Promise<void> {
  for (const part of await page.locator("main details").all()) await part.evaluate((details: HTMLDetailsElement) => (details.open = true));
}

async function unfold(page: Page): Promise<void> {
  await page.locator("details.event, .event details").first().locator("summary").click();
}
