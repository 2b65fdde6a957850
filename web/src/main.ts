// Islands: each saves a reload on a page that works without it. An element names its island in `data-island`.
import { addToBasket } from "./islands/add-to-basket";
import { basket } from "./islands/basket";
import { chat } from "./islands/chat";
import { checkout } from "./islands/checkout";
import { desk } from "./islands/desk";
import { filters } from "./islands/filters";
import { find } from "./islands/find";
import { once } from "./islands/once";
import { status } from "./islands/status";
import { theme } from "./islands/theme";
import { timeline } from "./islands/timeline";

const islands: Record<string, (root: HTMLElement) => void> = {
  "add-to-basket": (root) => addToBasket(root as HTMLFormElement),
  basket,
  chat: (root) => chat(root as HTMLAnchorElement),
  checkout: (root) => checkout(root as HTMLFormElement),
  desk,
  filters: (root) => filters(root as HTMLDetailsElement),
  find: (root) => find(root as HTMLFormElement),
  status,
  theme: (root) => theme(root as HTMLFormElement),
  timeline,
};

for (const root of document.querySelectorAll<HTMLElement>("[data-island]")) {
  islands[root.dataset["island"] ?? ""]?.(root);
}
for (const form of document.querySelectorAll<HTMLFormElement>("form[data-once]")) {
  once(form);
}
document.getElementById("errors")?.focus();
