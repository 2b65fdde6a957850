import { announce, post, showCount } from "../page";

interface Answer {
  message?: string;
  count?: number;
  error?: string;
}

/** Adds without leaving the page. */
export function addToBasket(form: HTMLFormElement): void {
  const button = form.querySelector<HTMLButtonElement>("button[type=submit]");
  let busy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy || !button) return;
    busy = true;
    button.setAttribute("aria-disabled", "true");
    try {
      const response = await post(form, { Accept: "application/json" });
      if (response.headers.get("Content-Type")?.startsWith("application/json")) {
        const answer = (await response.json()) as Answer;
        if (answer.count !== undefined) showCount(answer.count);
        show(form, answer.message ?? answer.error ?? "That didn’t work. Please try again.", answer.message === undefined);
      } else {
        // The shop has something else to say, such as that the form has expired: as a page of its own.
        form.submit();
      }
    } catch (error) {
      const late = error instanceof DOMException && error.name === "TimeoutError";
      show(form, late ? "We didn’t hear back. Check your basket before you try again." : "No connection. Not added. Please try again.", true);
    } finally {
      busy = false;
      button.removeAttribute("aria-disabled");
    }
  });
}

function show(form: HTMLFormElement, text: string, wrong: boolean): void {
  const box = form.querySelector(".buy__done") ?? form.appendChild(document.createElement("p"));
  box.className = wrong ? "buy__done buy__done--problem" : "buy__done";
  box.replaceChildren(`${text} `);
  if (!wrong) box.append(link("/basket", "View basket"), " ", link("/checkout", "Checkout"));
  announce(text);
}

function link(href: string, text: string): HTMLAnchorElement {
  return Object.assign(document.createElement("a"), { href, textContent: text });
}
