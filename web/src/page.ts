// What islands share: talking to the server, and to people.

/** Announces a text to screen readers without moving the focus. The same text twice is announced twice. */
export function announce(text: string): void {
  const voice = document.getElementById("announcer");
  if (!voice) return;
  voice.textContent = "";
  setTimeout(() => (voice.textContent = text), 60);
}

/** The fields of a form as the browser would post them. */
export function encode(form: HTMLFormElement, submitter?: HTMLElement | null): URLSearchParams {
  const body = new URLSearchParams();
  for (const [name, value] of new FormData(form, submitter)) {
    if (typeof value === "string") body.append(name, value);
  }
  return body;
}

/** Posts a form; rejects when there is no answer within ten seconds. */
export function post(form: HTMLFormElement, headers: Record<string, string>): Promise<Response> {
  return fetch(form.action, {
    method: "POST",
    body: encode(form),
    headers,
    credentials: "same-origin",
    redirect: "manual",
    signal: AbortSignal.timeout(10_000),
  });
}

/** Fetches a part of a page; rejects when it is not to be had. */
export async function part(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { headers: { "X-Fragment": "1" }, credentials: "same-origin", redirect: "manual", signal });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.text();
}

/** Replaces the elements of the page that the part has under the same ids, and leaves the focus where it was. */
export function swap(html: string, ids: string[]): void {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const focused = document.activeElement?.id;
  for (const id of ids) {
    const [old, replacement] = [document.getElementById(id), fresh.getElementById(id)];
    if (old && replacement) old.replaceWith(replacement);
  }
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

/** What became of a look at something that changes by itself. */
export type Look = "same" | "changed" | "over";

/**
 * Looks again and again, `wait` ms after the look before, as long as that is not over: slower when nothing happens, much
 * slower when it fails, and not at all while nobody sees the page. `first` is the pace after something changed.
 */
export function poll(look: () => Promise<Look>, first: () => number): void {
  let wait = first();
  const again = async (): Promise<void> => {
    if (!document.hidden) {
      try {
        const seen = await look();
        if (seen === "over") return;
        if (seen === "changed") wait = first();
      } catch {
        wait *= 2;
      }
    }
    wait = Math.min(wait * 1.05, 30_000);
    setTimeout(again, wait);
  };
  setTimeout(again, wait);
}

/** Shows how many books are in the basket, in the header of the page. */
export function showCount(count: number): void {
  const badge = document.querySelector<HTMLElement>("[data-basket-count]");
  const words = document.querySelector<HTMLElement>("[data-basket-words]");
  if (badge) {
    badge.textContent = String(count);
    badge.hidden = count === 0;
  }
  if (words) words.textContent = count === 1 ? "1 book" : `${count} books`;
}
