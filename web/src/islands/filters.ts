/** Opens the filters where there is room beside the books, and applies what is chosen with a mouse or a finger at once. */
export function filters(root: HTMLDetailsElement): void {
  if (matchMedia("(min-width: 60rem)").matches) root.open = true;
  // With the keyboard a closed list changes at every step: then the button decides.
  let pointed = false;
  root.addEventListener("pointerdown", () => (pointed = true));
  root.addEventListener("keydown", () => (pointed = false));
  root.addEventListener("change", (event) => {
    const field = event.target as HTMLInputElement | HTMLSelectElement;
    if (pointed && field.matches("select, input[type=checkbox]")) field.form?.requestSubmit();
  });
}
