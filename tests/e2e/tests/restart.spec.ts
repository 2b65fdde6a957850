import { addToBasket, buy, expectBasketCount, progress, signUp } from "../support/journey";
import { Server, freePort, tail } from "../support/server";
import { expect, ownPorts, test } from "../support/test";

test("after the plug is pulled the order, the basket and the session are still there", async ({ visit, person, books }) => {
  test.setTimeout(150_000);
  const port = await freePort();
  ownPorts.add(String(port));
  let server = await Server.start({ port });
  try {
    // Both shops have the same demonstration catalogue, yet their own ids.
    const titles = (await books(2)).map((book) => book.title);
    const page = await visit({ baseURL: server.url });
    const find = async (title: string): Promise<{ id: string; title: string; path: string }> => {
      const answer = await page.request.get(`/api/v1/books?in_stock=true&limit=100&sort=title`);
      const list = (await answer.json()) as { items: { id: string; title: string }[] };
      const id = list.items.find((book) => book.title === title)?.id ?? "";
      return { id, title, path: `/books/${id}` };
    };
    await signUp(page, person);
    await addToBasket(page, await find(titles[0]!));
    const order = await buy(page, person, { guest: false });
    await addToBasket(page, await find(titles[1]!));

    await server.kill();
    server = await Server.start({ port, dataDir: server.dataDir });

    await page.goto("/account");
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello, ${person.name}`);
    await page.getByRole("link", { name: order.number }).click();
    await expect(progress(page)).toContainText("Order confirmed");
    await page.goto("/basket");
    await expectBasketCount(page, 1);
    await expect(page.getByRole("heading", { level: 2, name: titles[1]! })).toBeVisible();
    expect(await server.stop()).toBe(0);
  } catch (error) {
    console.log(`--- end of the restarted shop's log ---\n${tail(server.log)}\n--- ---`);
    throw error;
  } finally {
    await server.kill();
    server.remove();
  }
});
