import { type BrowserContext, type BrowserContextOptions, type Page, test as base } from "@playwright/test";
import { randomUUID } from "node:crypto";
import { tail } from "./server";

/** A book that is in stock, as the API tells it. */
export interface Book {
  id: string;
  title: string;
  path: string;
}

/** Somebody who buys, whom nobody else in the run is. */
export interface Person {
  name: string;
  email: string;
  password: string;
}

/** How a page is opened. */
interface VisitOptions extends BrowserContextOptions {
  /** Whether the page may find the shop unreachable: the browser complains of that on the console. */
  mayLoseConnection?: boolean;
}

/** For tests that take the connection away. */
export const offline: VisitOptions = { mayLoseConnection: true };

interface Fixtures {
  /** Opens a page in a fresh browser profile. */
  visit: (options?: VisitOptions) => Promise<Page>;
  /** A page of the shop's owner, signed in. */
  staff: Page;
  /** Somebody new. */
  person: Person;
  /** Books in stock that no other test of this run is handed. */
  books: (count: number) => Promise<Book[]>;
  watch: void;
}

let handedOut = 0;

/**
 * Every page of every test is watched: a request to another origin, an uncaught exception or an error on the console
 * (also what the content security policy blocks) fails the test. Answers of 4xx and 5xx are the tests' own affair.
 */
export const test = base.extend<Fixtures>({
  baseURL: async ({}, use) => {
    await use(shopUrl());
  },

  context: async ({ context }, use) => {
    const complaints = watch(context);
    await use(context);
    complain(complaints);
  },

  visit: async ({ browser, baseURL, viewport, javaScriptEnabled }, use) => {
    const opened: { context: BrowserContext; complaints: string[] }[] = [];
    await use(async ({ mayLoseConnection = false, ...options } = {}) => {
      const context = await browser.newContext({
        ...(baseURL === undefined ? {} : { baseURL }),
        viewport,
        javaScriptEnabled,
        ...options,
      });
      opened.push({ context, complaints: watch(context, mayLoseConnection) });
      return context.newPage();
    });
    for (const { context } of opened) await context.close();
    complain(opened.flatMap(({ complaints }) => complaints));
  },

  staff: async ({ visit }, use) => {
    await use(await visit({ storageState: process.env.SHOP_STAFF ?? "", javaScriptEnabled: true }));
  },

  person: async ({}, use) => {
    const mark = randomUUID().slice(0, 8);
    await use({ name: `Ada Reader ${mark}`, email: `ada-${mark}@example.org`, password: `bread and butter ${mark}` });
  },

  books: async ({ request }, use, info) => {
    await use(async (count) => {
      const answer = await request.get("/api/v1/books?in_stock=true&limit=100&sort=title");
      const list = (await answer.json()) as { items: { id: string; title: string; available: number }[] };
      // Those with many copies only, and other ones for each worker: no test sells another's book out.
      const plenty = list.items.filter((book) => book.available >= 5);
      const own = plenty.filter((_, place) => place % 2 === info.parallelIndex % 2);
      if (own.length < count) throw new Error("too few books in stock");
      return Array.from({ length: count }, () => {
        const book = own[handedOut++ % own.length] as (typeof own)[number];
        return { id: book.id, title: book.title, path: `/books/${book.id}` };
      });
    });
  },

  watch: [
    async ({}, use, info) => {
      await use();
      if (info.status !== info.expectedStatus) {
        console.log(`--- end of the shop's log ---\n${tail(process.env.SHOP_LOG ?? "")}\n--- ---`);
      }
    },
    { auto: true },
  ],
});

export { expect } from "@playwright/test";

/** For tests that are also run on a fleet of many processes (`make test-fleet-e2e`). */
export const FLEET = { tag: "@fleet" };

/** Where the shop of this run is. */
export function shopUrl(): string {
  const url = process.env.SHOP_URL;
  if (!url) throw new Error("no shop runs");
  return url;
}

/** Notes what no page of ours may do. */
export function watch(context: BrowserContext, mayLoseConnection = false): string[] {
  const complaints: string[] = [];
  context.on("request", (request) => {
    const { protocol, hostname, port } = new URL(request.url());
    const own = ["http:", "ws:"].includes(protocol) && hostname === "127.0.0.1" && ownPorts.has(port);
    if (!own && !["data:", "blob:", "about:"].includes(protocol)) {
      complaints.push(`a request left the shop: ${request.url()}`);
    }
  });
  context.on("weberror", (error) => complaints.push(`an exception: ${error.error()}`));
  context.on("console", (message) => {
    const answered = message.text().startsWith("Failed to load resource: the server responded");
    const lost = mayLoseConnection && /net::ERR_|WebSocket connection to/.test(message.text());
    if (message.type() === "error" && !answered && !lost) complaints.push(`on the console: ${message.text()}`);
  });
  return complaints;
}

/** Ports that belong to shops of this run. */
export const ownPorts = new Set<string>(process.env.SHOP_URL ? [new URL(process.env.SHOP_URL).port] : []);

/** Fails when something was noted. */
export function complain(complaints: string[]): void {
  if (complaints.length > 0) throw new Error([...new Set(complaints)].join("\n"));
}
