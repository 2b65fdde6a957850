import { announce, encode, part, swap } from "../page";

const PRICED = new Set(["country", "region", "shipping_method"]);
const SENT = [...PRICED, "preset_method", "remembered_method", "payment_token"];

/** Shows the address as the country has it; what was typed stays, where there is still a field for it. */
function swapAddress(html: string): void {
  const fields = (): NodeListOf<HTMLInputElement | HTMLSelectElement> => document.querySelectorAll("#f-address :is(input, select)");
  const typed = new Map([...fields()].map((field) => [field.name, field.value]));
  swap(html, ["f-address"]);
  for (const field of fields()) {
    const value = typed.get(field.name);
    if (value === undefined) continue;
    if (field instanceof HTMLInputElement || [...field.options].some((option) => option.value === value)) field.value = value;
  }
}

/** Works out shipping and tax anew when the address changes. */
export function checkout(form: HTMLFormElement): void {
  let running: AbortController | undefined;
  form.addEventListener("change", async (event) => {
    const field = event.target as HTMLInputElement;
    if (!PRICED.has(field.name)) return;
    running?.abort();
    const own = (running = new AbortController());
    form.setAttribute("aria-busy", "true");
    try {
      const typed = encode(form);
      const asked = new URLSearchParams();
      for (const name of SENT) asked.set(name, typed.get(name) ?? "");
      const html = await part(`/checkout/summary?${asked}`, AbortSignal.any([own.signal, AbortSignal.timeout(10_000)]));
      if (field.name === "country") swapAddress(html);
      // A card that was chosen while the answer was on its way stays chosen: the answer knows the one before.
      const card = new FormData(form).get("payment_token");
      swap(html, ["f-shipping_method", "f-payment_token", "f-place", "f-review"]);
      for (const choice of form.querySelectorAll<HTMLInputElement>("[name=payment_token]")) {
        if (choice.value === card) choice.checked = true;
      }
      const total = form.querySelector("[data-total]")?.textContent;
      const peek = document.querySelector("[data-peek]");
      if (peek && total) peek.textContent = total;
      const why = form.querySelector("#f-review .note")?.textContent;
      announce(total ? `The total is now ${total}.` : (why ?? "We’ll show the total once we know where to ship."));
    } catch {
      // What is shown may be old then: the server compares it with the real total before it takes an order.
    } finally {
      if (running === own) form.removeAttribute("aria-busy");
    }
  });
}
