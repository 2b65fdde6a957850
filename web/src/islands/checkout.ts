import { announce, encode, part, swap } from "../page";

const PRICED = new Set(["country", "region", "shipping_method"]);

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
      for (const name of [...PRICED, "payment_token"]) asked.set(name, typed.get(name) ?? "");
      const html = await part(`/checkout/summary?${asked}`, AbortSignal.any([own.signal, AbortSignal.timeout(10_000)]));
      swap(html, ["f-shipping_method", "f-payment_token", "f-place", "f-review"]);
      const total = form.querySelector("[data-total]")?.textContent;
      announce(total ? `The total is now ${total}.` : "We cannot deliver to this address yet.");
    } catch {
      // What is shown may be old then: the server compares it with the real total before it takes an order.
    } finally {
      if (running === own) form.removeAttribute("aria-busy");
    }
  });
}
