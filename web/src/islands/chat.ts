/** What the chat's own script offers. */
interface Chat {
  start(button: HTMLAnchorElement, open: boolean): void;
}

/** A conversation in which nothing happened for as long is not picked up by itself any more, in ms. */
const COLD = 12 * 3_600_000;

/** Turns the link to the contact page into a button that opens the chat. Its script comes when it is needed. */
export function chat(button: HTMLAnchorElement): void {
  const { src } = button.dataset;
  if (!src) return;
  button.setAttribute("role", "button");
  button.setAttribute("aria-haspopup", "dialog");
  button.setAttribute("aria-expanded", "false");
  button.setAttribute("aria-keyshortcuts", "Alt+Shift+C");
  button.title = "Alt + Shift + C";
  for (const words of document.querySelectorAll<HTMLElement>("[data-needs-script]")) words.hidden = false;

  let loading = false;
  const load = async (open: boolean): Promise<void> => {
    if (loading) return;
    loading = true;
    button.setAttribute("aria-busy", "true");
    try {
      const script = (await import(src)) as Chat;
      removeEventListener("keydown", shortcut);
      button.removeEventListener("click", click);
      script.start(button, open);
    } catch {
      loading = false;
      if (open) location.assign(button.href);
    } finally {
      button.removeAttribute("aria-busy");
    }
  };
  const click = (event: MouseEvent): void => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    void load(true);
  };
  const shortcut = (event: KeyboardEvent): void => {
    if (!isShortcut(event)) return;
    event.preventDefault();
    void load(true);
  };
  button.addEventListener("click", click);
  button.addEventListener("keydown", (event) => {
    // A button, unlike a link, is pressed with the space bar, too.
    if (event.key !== " ") return;
    event.preventDefault();
    button.click();
  });
  addEventListener("keydown", shortcut);
  if (goesOn()) void load(false);
  stepAside(button);
}

/** Alt, Shift and C, unless these type a letter into a field. */
export function isShortcut(event: KeyboardEvent): boolean {
  if (event.code !== "KeyC" || !event.altKey || !event.shiftKey || event.ctrlKey || event.metaKey) return false;
  return event.key.toLowerCase() === "c" || !(event.target as Element).matches("input, textarea, select");
}

/** Whether somebody talks, or has something waiting to be sent. */
function goesOn(): boolean {
  try {
    if (sessionStorage.getItem("bw_chat_open") || Object.keys(localStorage).some((key) => key.startsWith("bw_chat_out_"))) return true;
    const stored = JSON.parse(localStorage.getItem("bw_chat") ?? "null") as { status: string; at: number } | null;
    return stored !== null && ["bot", "queued", "with_agent"].includes(stored.status) && Date.now() - stored.at < COLD;
  } catch {
    return false;
  }
}

/** Fields and buttons of the page. */
const CONTROLS = "main :is(.button, button, input, select, textarea, label)";
/** How far apart the places are at which the page is probed, in px: less than anything that is pressed. */
const GRID = 22;

/** Hides the button as long as a field or a button of the page is under it. */
function stepAside(button: HTMLElement): void {
  let due = false;
  const look = (): void => {
    due = false;
    const { left, top, right, bottom } = button.getBoundingClientRect();
    let under = false;
    for (let x = left - 8; !under && x < right + GRID; x += GRID) {
      for (let y = top - 8; !under && y < bottom + GRID; y += GRID) {
        under = document.elementsFromPoint(x, y).some((element) => element.matches(CONTROLS));
      }
    }
    button.classList.toggle("chat-button--aside", under);
  };
  const soon = (): void => {
    if (due) return;
    due = true;
    requestAnimationFrame(look);
  };
  soon();
  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", soon);
  new MutationObserver(soon).observe(document.getElementById("main") ?? document.body, { childList: true, subtree: true });
}
