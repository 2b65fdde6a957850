import { announce } from "../page";

/** Changes between light and dark without a reload; the choice is kept in the same cookie that the server sets. */
export function theme(form: HTMLFormElement): void {
  const button = form.querySelector<HTMLButtonElement>("button");
  const label = form.querySelector<HTMLElement>("[data-theme-label]");
  const root = document.documentElement;
  if (!button || !label) return;
  const isDark = (): boolean => {
    const chosen = root.dataset["theme"];
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const show = (): void => {
    button.value = isDark() ? "light" : "dark";
    label.textContent = isDark() ? "Light" : "Dark";
  };
  show();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const next = isDark() ? "light" : "dark";
    root.dataset["theme"] = next;
    const secure = location.protocol === "https:" ? ";secure" : "";
    document.cookie = `bw_theme=${next};path=/;max-age=31536000;samesite=lax${secure}`;
    show();
    announce(next === "dark" ? "Dark colours" : "Light colours");
  });
}
