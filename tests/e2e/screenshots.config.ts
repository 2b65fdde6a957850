import { defineConfig } from "@playwright/test";
import tests from "./playwright.config";

/** `npm run shots`: a picture of every page, for people to look at. Proves nothing by itself. */
export default defineConfig({ ...tests, testDir: ".", testMatch: "screenshots.ts", timeout: 300_000 });
