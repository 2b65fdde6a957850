import { announce, encode, part, swap } from "../page";

const PRICED = new Set(["country", "region", "shipping_method", "coupon"]);
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
  // The address is another country's until an answer has come, whatever is asked meanwhile.
  let addressDue = false;
  const price = async (changed: string): Promise<void> => {
    running?.abort();
    if (changed === "country") addressDue = true;
    const own = (running = new AbortController());
    form.setAttribute("aria-busy", "true");
    try {
      const typed = encode(form);
      const asked = new URLSearchParams();
      for (const name of SENT) asked.set(name, typed.get(name) ?? "");
      const html = await part(`/checkout/summary?${asked}`, AbortSignal.any([own.signal, AbortSignal.timeout(10_000)]));
      if (addressDue) swapAddress(html);
      addressDue = false;
      // A card that was chosen while the answer was on its way stays chosen: the answer knows the one before.
      const card = new FormData(form).get("payment_token");
      const code = form.querySelector<HTMLInputElement>("#f-coupon")?.value;
      swap(html, ["f-shipping_method", "f-payment_token", "f-place", "f-review"]);
      const coupon = form.querySelector<HTMLInputElement>("#f-coupon");
      if (coupon && code !== undefined) coupon.value = code;
      for (const choice of form.querySelectorAll<HTMLInputElement>("[name=payment_token]")) {
        if (choice.value === card) choice.checked = true;
      }
      showApply();
      const total = form.querySelector("[data-total]")?.textContent;
      const peek = document.querySelector("[data-peek]");
      if (peek && total) peek.textContent = total;
      const why = form.querySelector("#f-review .note")?.textContent;
      const refused = changed === "coupon" ? form.querySelector("#e-coupon")?.textContent : undefined;
      announce(refused ?? (total ? `The total is now ${total}.` : (why ?? "We’ll show the total once we know where to ship.")));
    } catch {
      // What is shown may be old then: the server compares it with the real total before it takes an order.
    } finally {
      if (running === own) {
        form.removeAttribute("aria-busy");
        running = undefined;
      }
    }
  };
  const showApply = (): void => {
    form.querySelector("[data-apply]")?.removeAttribute("hidden");
    // A button in a part that came later would be the form's first, and so what the Enter key presses.
    for (const fallback of form.querySelectorAll("#f-review noscript")) fallback.remove();
  };
  showApply();
  form.addEventListener("change", (event) => {
    const { name } = event.target as HTMLInputElement;
    if (PRICED.has(name)) void price(name);
  });
  form.addEventListener("click", (event) => {
    // Leaving the field has asked already, if something was changed in it.
    if ((event.target as Element).closest("[data-apply]") && !running) void price("coupon");
  });
  form.addEventListener("keydown", (event) => {
    // In this field the key means the code, and not the order.
    if (event.key !== "Enter" || (event.target as HTMLInputElement).name !== "coupon") return;
    event.preventDefault();
    void price("coupon");
  });
}
