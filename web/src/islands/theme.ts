import { announce } from "../page";

/** Changes the colours without a reload; the choice is stored in the same cookie that the server sets. */
export function theme(form: HTMLFormElement): void {
  const root = document.documentElement;
  form.addEventListener("submit", (event) => {
    const pressed = event.submitter as HTMLButtonElement | null;
    if (!pressed) return;
    event.preventDefault();
    const follows = pressed.value === "system";
    if (follows) delete root.dataset["theme"];
    else root.dataset["theme"] = pressed.value;
    const secure = location.protocol === "https:" ? ";secure" : "";
    document.cookie = `bw_theme=${follows ? "" : pressed.value};path=/;max-age=${follows ? 0 : 31_536_000};samesite=lax${secure}`;
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button === pressed));
    announce(follows ? "Colours follow your system" : `${pressed.textContent} colours`);
  });
}
