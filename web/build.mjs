// Bundles the islands and the styles into dist/. The web role embeds what is there and names it by its content.
import { rm } from "node:fs/promises";
import { build } from "esbuild";

await rm("dist", { recursive: true, force: true });
const common = {
  outdir: "dist",
  bundle: true,
  minify: true,
  target: ["es2022", "safari16.4", "firefox115", "chrome114"],
  legalComments: "none",
  logLevel: "warning",
  // Fonts are files of their own, under the address where the web role serves them.
  loader: { ".woff2": "file" },
  assetNames: "[name]-[hash]",
  publicPath: "/assets",
};
await build({ ...common, format: "iife", entryPoints: { app: "src/main.ts", shop: "src/styles/main.css" } });
// Loaded by app.js when they are needed.
await build({ ...common, format: "esm", entryPoints: { cases: "src/islands/cases.ts", chat: "src/chat/customer.ts", desk: "src/chat/desk.ts", status: "src/islands/status.ts" } });
