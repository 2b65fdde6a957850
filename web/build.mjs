// Bundles the islands and the styles into dist/. The web role embeds what is there and names it by its content.
import { rm } from "node:fs/promises";
import { build } from "esbuild";

await rm("dist", { recursive: true, force: true });
await build({
  entryPoints: { app: "src/main.ts", shop: "src/styles/main.css" },
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022", "safari16.4", "firefox115", "chrome114"],
  legalComments: "none",
  logLevel: "warning",
});
