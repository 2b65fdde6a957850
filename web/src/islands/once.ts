/** Sends a form once, however often the button is pressed, and says that it is under way. */
export function once(form: HTMLFormElement): void {
  let sent = false;
  const button = (): HTMLButtonElement | null => form.querySelector("button.button[type=submit]:not([value=update])");
  let label = "";

  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    if (sent) {
      event.preventDefault();
      return;
    }
    sent = true;
    const pressed = button();
    if (pressed) {
      pressed.setAttribute("aria-disabled", "true");
      label = pressed.textContent;
      pressed.textContent = form.dataset["once"] ?? label;
    }
  });
  // Coming back with the browser's button shows the page as it was left.
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    sent = false;
    const pressed = button();
    if (pressed) {
      pressed.removeAttribute("aria-disabled");
      pressed.textContent = label;
    }
  });
}
