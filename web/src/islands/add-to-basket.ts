import { announce, post, showCount } from "../page";

interface Answer {
  message?: string;
  count?: number;
  error?: string;
}

/** Adds without leaving the book's page. */
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
      if (!response.headers.get("Content-Type")?.startsWith("application/json")) throw new Error("no answer for islands");
      const answer = (await response.json()) as Answer;
      if (answer.count !== undefined) showCount(answer.count);
      tell(form, answer.message ?? answer.error ?? "That did not work.", answer.error !== undefined);
    } catch {
      form.submit();
    } finally {
      busy = false;
      button.removeAttribute("aria-disabled");
    }
  });
}

function tell(form: HTMLFormElement, text: string, wrong: boolean): void {
  const box = form.querySelector(".buy__done") ?? form.appendChild(document.createElement("p"));
  box.className = wrong ? "buy__done buy__done--problem" : "buy__done";
  box.textContent = `${text} `;
  if (!wrong) {
    const link = document.createElement("a");
    link.href = "/basket";
    link.textContent = "View basket";
    box.append(link);
  }
  announce(text);
}
