import { announce } from "../page";

/** Where the choice is stored. */
const OFF = "bw_case_keys_off";

/**
 * Keys for a list of cases that staff decide: each does what a button or Tab does, none while somebody types, and all can
 * be turned off (WCAG 2.1.4).
 */
export function start(root: HTMLElement): void {
  const help = root.querySelector<HTMLElement>("[data-keys]");
  const enabled = help?.querySelector<HTMLInputElement>("input");
  const all = [...root.querySelectorAll<HTMLElement>(".case")];
  if (!help || !enabled) return;
  help.hidden = false;
  enabled.checked = !isOff();
  enabled.addEventListener("change", () => remember(!enabled.checked));
  for (const one of all) one.tabIndex = -1;

  const current = (): HTMLElement | undefined => all.find((one) => one.contains(document.activeElement));
  const step = (by: 1 | -1): void => {
    const from = current();
    const place = from ? all.indexOf(from) + by : 0;
    const next = all[place];
    if (next) {
      next.focus();
      next.scrollIntoView({ block: "nearest" });
    } else announce(by > 0 ? "This is the last review on the page." : "This is the first review on the page.");
  };
  const reason = (): HTMLTextAreaElement | null | undefined => current()?.querySelector("textarea");
  const press = (verdict: string): void => {
    const button = current()?.querySelector<HTMLButtonElement>(`button[value=${verdict}]`);
    // Its author reads why: without words it would be refused.
    if (button && verdict === "hide" && !reason()?.value.trim()) return reason()?.focus();
    button?.click();
  };
  const keys: Record<string, () => void> = {
    j: () => step(1),
    k: () => step(-1),
    o: () => current()?.querySelector<HTMLAnchorElement>("h2 a")?.click(),
    r: () => reason()?.focus(),
    p: () => press("publish"),
    h: () => press("hide"),
  };
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    const typing = target.matches("textarea, select, input:not([type=checkbox])");
    if (event.key === "Escape" && typing) return current()?.focus();
    const action = keys[event.key.toLowerCase()];
    if (typing || !enabled.checked || !action) return;
    event.preventDefault();
    action();
  });
}

function isOff(): boolean {
  try {
    return localStorage.getItem(OFF) !== null;
  } catch {
    return false;
  }
}

function remember(off: boolean): void {
  try {
    if (off) localStorage.setItem(OFF, "1");
    else localStorage.removeItem(OFF);
  } catch {
    // Without storage the choice is good for this page.
  }
}
