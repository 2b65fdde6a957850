import { announce, part, swap } from "../page";

/** Asks for the order's progress again and again while it can still change. Slows down when nothing happens. */
export function timeline(first: HTMLElement): void {
  const { src } = first.dataset;
  if (!src) return;
  let wait = Number(first.dataset["every"]);
  let status = first.dataset["status"];

  const look = async (): Promise<void> => {
    if (!document.hidden) {
      try {
        const html = await part(src, AbortSignal.timeout(10_000));
        swap(html, ["progress"]);
        const now = document.getElementById("progress");
        const every = Number(now?.dataset["every"]);
        if (now?.dataset["status"] !== status) {
          status = now?.dataset["status"];
          wait = every;
          announce(`Your order: ${status ?? ""}`);
          // The page around the progress tells the same story; what it says has to be read from the server.
          if (!every || !now) return location.reload();
          title();
        }
        if (!every) return;
      } catch {
        wait = Math.min(wait * 2, 30_000);
      }
    }
    wait = Math.min(wait * 1.05, 30_000);
    setTimeout(look, wait);
  };
  if (wait) setTimeout(look, wait);
}

/** Fetches heading and lead anew, which change with the status. */
function title(): void {
  void fetch(location.href, { credentials: "same-origin", signal: AbortSignal.timeout(10_000) })
    .then((response) => response.text())
    .then((html) => {
      const fresh = new DOMParser().parseFromString(html, "text/html");
      const [old, head] = [document.querySelector(".order__head"), fresh.querySelector(".order__head")];
      if (old && head) old.replaceWith(head);
      if (!fresh.querySelector(".order__cancel")) document.querySelector(".order__cancel")?.remove();
      document.title = fresh.title;
    })
    .catch(() => undefined);
}
