import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";

/** The rules of WCAG 2.2 at levels A and AA that a program can check. */
const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** What stands in somebody's way on the page that is open, one line for each place. `rules` asks for these alone. */
export async function barriers(page: Page, rules?: string[]): Promise<string[]> {
  // What stands in a page can be found before its stylesheet is there, and without it every target is too small.
  await page.waitForLoadState("load");
  // Frames hold mails: no script runs there, not even a test's.
  const axe = new AxeBuilder({ page }).exclude("iframe");
  const { violations } = await (rules ? axe.withRules(rules) : axe.withTags(WCAG)).analyze();
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, any }) => `${id}: ${help}: ${target.join(" ")} ${any.map(({ message }) => message).join(" ")}`),
  );
}
