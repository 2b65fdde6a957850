import { announce, post, showCount } from "../page";

/** Changes quantities in place, with a button for less and one for more. */
export function basket(root: HTMLElement): void {
  dress(root);
  let timer = 0;

  const send = async (form: HTMLFormElement): Promise<void> => {
    root.setAttribute("aria-busy", "true");
    try {
      const response = await post(form, { "X-Fragment": "basket" });
      if (response.headers.get("X-Fragment") === "basket") {
        const focused = document.activeElement?.id;
        root.innerHTML = await response.text();
        dress(root);
        const again = focused ? document.getElementById(focused) : null;
        (again ?? root.querySelector<HTMLElement>("#undo, .line__remove button, .empty .button"))?.focus({ preventScroll: true });
        tally(root);
      } else {
        // The shop has something else to say, such as that the form has expired: as a page of its own.
        form.submit();
      }
    } catch (error) {
      const late = error instanceof DOMException && error.name === "TimeoutError";
      refuse(form, late ? "We didn’t hear back. Reload the page to see your basket." : "No connection. Nothing was changed. Please try again.");
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
    const present = count(number);
    const wanted = Math.min(most(number), Math.max(1, present + Number(step.dataset["by"])));
    if (wanted === present || Number.isNaN(wanted)) return;
    number.value = String(wanted);
    dim(step.form, number);
    later(step.form);
  });
  root.addEventListener("change", (event) => {
    const input = event.target as HTMLInputElement;
    if (!input.form || !input.matches(".stepper__number")) return;
    if (!/^\s*\d+\s*$/.test(input.value)) refuse(input.form, "Enter a whole number from 0 to 99.");
    else if (count(input) > MOST) refuse(input.form, "You can order up to 99 copies of a book.");
    else later(input.form);
  });

  // Several quick presses are one change.
  function later(form: HTMLFormElement): void {
    clearTimeout(timer);
    timer = setTimeout(() => void send(form), 350);
  }
}

/** The most copies of a book in a basket. */
const MOST = 99;

function count(number: HTMLInputElement): number {
  return number.value.trim() === "" ? NaN : Number(number.value);
}

/** How many copies there are to put in. */
function most(number: HTMLInputElement): number {
  return Number(number.dataset["most"]) || MOST;
}

/** Says beside the line why nothing was changed. */
function refuse(form: HTMLFormElement, why: string): void {
  const line = form.closest(".line");
  const error = line?.querySelector<HTMLElement>(".stepper__error");
  if (error) {
    error.textContent = why;
    error.hidden = false;
    line?.querySelector(".stepper")?.classList.add("field--wrong");
    line?.querySelector(".stepper__number")?.setAttribute("aria-invalid", "true");
  }
  announce(why);
}

/** Switches the buttons off that lead past an end. */
function dim(form: HTMLFormElement, number: HTMLInputElement): void {
  for (const step of form.querySelectorAll<HTMLButtonElement>(".stepper__step")) {
    step.disabled = Number(step.dataset["by"]) < 0 ? count(number) <= 1 : count(number) >= most(number);
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
    number.before(step(`${number.id}-less`, "−", `${title}: one less`, -1));
    number.after(step(`${number.id}-more`, "+", `${title}: one more`, 1));
    dim(form, number);
  }
}

function step(id: string, sign: string, label: string, by: number): HTMLButtonElement {
  const button = document.createElement("button");
  button.type = "button";
  button.id = id;
  button.className = `stepper__step stepper__step--${by < 0 ? "less" : "more"}`;
  button.dataset["by"] = String(by);
  button.textContent = sign;
  button.setAttribute("aria-label", label);
  return button;
}

function tally(root: HTMLElement): void {
  const books = Number(root.querySelector<HTMLElement>("[data-books]")?.dataset["books"] ?? 0);
  showCount(books);
  const wrong = root.querySelector(".stepper__error:not([hidden]), .note--problem")?.textContent;
  const removed = root.querySelector(".note--undo [role=status]")?.textContent ?? "";
  const sum = root.querySelector(".totals__sum dd")?.textContent ?? "";
  announce(wrong ?? `${removed} ${books === 0 ? "Your basket is empty." : `${books === 1 ? "1 book" : `${books} books`}, ${sum}.`}`);
}
