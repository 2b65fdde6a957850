import type { Page } from "@playwright/test";
import { barriers } from "../support/barriers";
import { KINDS, type World, show, theWorld } from "../support/pages";
import { expect, test } from "../support/test";

/** Those rules of WCAG that depend on colours. The others have nothing new to say when only the colours change. */
const COLOURS = ["color-contrast", "link-in-text-block"];

/** The most script that a page may bring along, compressed. */
const SCRIPT_BYTES = 60 * 1024;

let world: World;

test.beforeAll(async ({ browser }) => {
  test.setTimeout(180_000);
  world = await theWorld(browser);
});

for (const kind of KINDS) {
  test(`everybody can use the page: ${kind.name}`, async ({ visit }) => {
    const page = await visit(kind.who ? { storageState: world[kind.who] } : {});
    const script = await countScript(page);
    await show(page, kind, world);

    await expect(page.getByRole("heading", { level: 1 })).toHaveCount(1);
    expect(await page.title()).not.toBe("");
    expect(script(), "bytes of compressed script").toBeLessThanOrEqual(SCRIPT_BYTES);
    expect(await barriers(page), "in light colours").toEqual([]);
    await page.emulateMedia({ colorScheme: "dark" });
    await page.evaluate(() => Promise.allSettled(document.getAnimations().map((one) => one.finished)));
    expect(await barriers(page, COLOURS), "in dark colours").toEqual([]);

    // WCAG 1.4.10: at 320 px nothing but tables and code scrolls sideways.
    await page.setViewportSize({ width: 320, height: 640 });
    const wide = await page.evaluate(() => {
      const width = document.documentElement.scrollWidth;
      if (width <= 320) return [];
      const scrolls = (element: Element): boolean =>
        element.parentElement !== null && (getComputedStyle(element.parentElement).overflowX !== "visible" || scrolls(element.parentElement));
      return [...document.body.querySelectorAll("body *")]
        .filter((element) => element.getBoundingClientRect().right > 320 && !scrolls(element))
        .map((element) => `${element.tagName.toLowerCase()}.${element.className} in a page ${width} px wide`);
    });
    expect(wide, "wider than a phone").toEqual([]);
  });
}

/** Counts the bytes of script as they cross the wire. Nothing comes from the cache. */
async function countScript(page: Page): Promise<() => number> {
  const client = await page.context().newCDPSession(page);
  await client.send("Network.enable");
  await client.send("Network.setCacheDisabled", { cacheDisabled: true });
  const scripts = new Set<string>();
  let bytes = 0;
  client.on("Network.responseReceived", ({ requestId, type }) => {
    if (type === "Script") scripts.add(requestId);
  });
  client.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    if (scripts.has(requestId)) bytes += encodedDataLength;
  });
  return () => bytes;
}
