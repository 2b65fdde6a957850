import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { KINDS, type World, show, theWorld } from "../support/pages";
import { expect, test } from "../support/test";

/** The rules of WCAG 2.2 at levels A and AA that a program can check. */
const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** Those of them that depend on colours. The others have nothing new to say when only the colours change. */
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
    expect(await barriers(axe(page).withTags(WCAG)), "in light colours").toEqual([]);
    await page.emulateMedia({ colorScheme: "dark" });
    await page.evaluate(() => Promise.allSettled(document.getAnimations().map((one) => one.finished)));
    expect(await barriers(axe(page).withRules(COLOURS)), "in dark colours").toEqual([]);

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

function axe(page: Page): AxeBuilder {
  // Frames hold mails: no script runs there, not even a test's.
  return new AxeBuilder({ page }).exclude("iframe");
}

/** What stands in somebody's way, one line for each place. */
async function barriers(check: AxeBuilder): Promise<string[]> {
  const { violations } = await check.analyze();
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, any }) => `${id}: ${help}: ${target.join(" ")} ${any.map(({ message }) => message).join(" ")}`),
  );
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
