import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { KINDS, type World, show, theWorld } from "./support/pages";
import { test } from "./support/test";

const FOLDER = process.env.SHOTS_DIR ?? "/tmp/shots";
const WIDTHS = [390, 768, 1440];

let world: World;

test.beforeAll(async ({ browser }) => {
  test.setTimeout(180_000);
  world = await theWorld(browser);
  mkdirSync(FOLDER, { recursive: true });
});

for (const kind of KINDS) {
  test(`picture of ${kind.name}`, async ({ visit }) => {
    const page = await visit(kind.who ? { storageState: world[kind.who] } : {});
    await show(page, kind, world);
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        await page.screenshot({ path: join(FOLDER, `${kind.name}-${width}-${colorScheme}.png`), fullPage: true });
      }
    }
  });
}
