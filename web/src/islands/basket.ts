import { announce, post, showCount } from "../page";

/** Changes quantities in place, with a button for less and one for more. */
export function basket(root: HTMLElement): void {
  dress(root);
  let timer = 0;

  const send = async (form: HTMLFormElement): Promise<void> => {
    root.setAttribute("aria-busy", "true");
    try {
      const response = await post(form, { "X-Fragment": "basket" });
      const html = response.headers.get("Content-Type")?.startsWith("text/html");
      if (response.ok && html) {
        const focused = document.activeElement?.id;
        root.innerHTML = await response.text();
        dress(root);
        const again = focused ? document.getElementById(focused) : null;
        (again ?? root.querySelector<HTMLElement>(".line__remove button, .empty .button"))?.focus({ preventScroll: true });
        tally(root);
      } else if (response.headers.get("Content-Type")?.startsWith("application/json")) {
        const answer = (await response.json()) as { error?: string };
        announce(answer.error ?? "That did not work.");
        location.reload();
      } else {
        form.submit();
      }
    } catch {
      form.submit();
    } finally {
      root.removeAttribute("aria-busy");
    }
  };

  root.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    void send(event.target as HTMLFormElement);
  });
  root.addEventListener("click", (event) => {
    const step = (event.target as Element).closest<HTMLButtonElement>(".stepper__step");
    const number = step?.form?.querySelector<HTMLInputElement>(".stepper__number");
    if (!step?.form || !number) return;
    const wanted = Math.min(99, Math.max(1, number.valueAsNumber + Number(step.dataset["by"])));
    if (wanted === number.valueAsNumber || Number.isNaN(wanted)) return;
    number.value = String(wanted);
    later(step.form);
  });
  root.addEventListener("change", (event) => {
    const input = event.target as HTMLInputElement;
    if (input.form && input.matches(".stepper__number") && input.checkValidity()) later(input.form);
  });

  // Several quick presses are one change.
  function later(form: HTMLFormElement): void {
    clearTimeout(timer);
    timer = setTimeout(() => void send(form), 350);
  }
}

function dress(root: HTMLElement): void {
  for (const form of root.querySelectorAll<HTMLFormElement>(".stepper")) {
    const number = form.querySelector<HTMLInputElement>(".stepper__number");
    const set = form.querySelector<HTMLElement>(".stepper__set");
    if (!number || !set) continue;
    const title = form.querySelector("label")?.textContent ?? "Copies";
    form.classList.add("stepper--live");
    set.hidden = true;
    number.before(step(`${number.id}-less`, "−", `${title}: one less`, -1, number.valueAsNumber <= 1));
    number.after(step(`${number.id}-more`, "+", `${title}: one more`, 1, number.valueAsNumber >= 99));
  }
}

function step(id: string, sign: string, label: string, by: number, disabled: boolean): HTMLButtonElement {
  const button = document.createElement("button");
  button.type = "button";
  button.id = id;
  button.className = `stepper__step stepper__step--${by < 0 ? "less" : "more"}`;
  button.dataset["by"] = String(by);
  button.textContent = sign;
  button.setAttribute("aria-label", label);
  button.disabled = disabled;
  return button;
}

function tally(root: HTMLElement): void {
  let count = 0;
  for (const number of root.querySelectorAll<HTMLInputElement>(".stepper__number")) count += number.valueAsNumber || 0;
  showCount(count);
  const sum = root.querySelector(".totals__sum dd")?.textContent;
  announce(count === 0 ? "Your basket is empty." : `${count === 1 ? "1 book" : `${count} books`} in your basket, ${sum ?? ""} together.`);
}
