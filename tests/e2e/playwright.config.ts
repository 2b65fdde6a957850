import { defineConfig } from "@playwright/test";

/** Chromium comes from the system: the tests download nothing. */
const chromium = process.env.BOOKWORM_TEST_CHROMIUM ?? "/usr/bin/chromium";

/** Two dozen processes and their engines share the machine with the browser. */
const slow = process.env.BOOKWORM_E2E_FLEET ? 3 : 1;

export default defineConfig({
  testDir: "tests",
  globalSetup: "./support/shop.ts",
  fullyParallel: true,
  workers: 2,
  retries: 0,
  timeout: 60_000 * slow,
  expect: { timeout: 10_000 * slow },
  forbidOnly: process.env.CI === "true",
  reporter: "list",
  use: {
    browserName: "chromium",
    viewport: { width: 1280, height: 900 },
    trace: process.env.CI === "true" ? "off" : "retain-on-failure",
    actionTimeout: 10_000 * slow,
    navigationTimeout: 20_000 * slow,
    launchOptions: {
      executablePath: chromium,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
