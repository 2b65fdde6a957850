// Islands: each saves a reload on a page that works without it. An element names its island in `data-island`.
import { addToBasket } from "./islands/add-to-basket";
import { basket } from "./islands/basket";
import { chat } from "./islands/chat";
import { checkout } from "./islands/checkout";
import { emailHint } from "./islands/email-hint";
import { filters } from "./islands/filters";
import { find } from "./islands/find";
import { load } from "./islands/load";
import { once } from "./islands/once";
import { reveal } from "./islands/reveal";
import { theme } from "./islands/theme";
import { timeline } from "./islands/timeline";
import { showCount } from "./page";

const islands: Record<string, (root: HTMLElement) => void> = {
  "add-to-basket": (root) => addToBasket(root as HTMLFormElement),
  basket,
  chat: (root) => chat(root as HTMLAnchorElement),
  checkout: (root) => checkout(root as HTMLFormElement),
  filters: (root) => filters(root as HTMLDetailsElement),
  find: (root) => find(root as HTMLFormElement),
  load,
  theme: (root) => theme(root as HTMLFormElement),
  timeline,
};

for (const root of document.querySelectorAll<HTMLElement>("[data-island]")) {
  islands[root.dataset["island"] ?? ""]?.(root);
}
for (const form of document.querySelectorAll<HTMLFormElement>("form[data-once]")) {
  once(form);
}
for (const field of document.querySelectorAll<HTMLInputElement>("input[type=password]")) {
  reveal(field);
}
for (const field of document.querySelectorAll<HTMLInputElement>("main input[type=email]")) {
  emailHint(field);
}
document.getElementById("errors")?.focus();
// A page that comes back from the browser's memory shows the number of books that it left with.
addEventListener("pageshow", () => {
  const count = /(?:^|; )bw_count=(\d+)/.exec(document.cookie)?.[1];
  if (count !== undefined) showCount(Number(count));
});
