/** A button that shows what was typed into a password's field. */
export function reveal(field: HTMLInputElement): void {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link reveal";
  const show = (shown: boolean): void => {
    field.type = shown ? "text" : "password";
    button.textContent = shown ? "Hide password" : "Show password";
  };
  show(false);
  button.setAttribute("aria-controls", field.id);
  button.addEventListener("click", () => show(field.type === "password"));
  field.after(button);
  // What is sent is a password to the browser, too: it offers to keep it, and shows it to nobody on the way back.
  field.form?.addEventListener("submit", () => show(false));
}
