import { announce, part, poll, swap } from "../page";

/** Asks for the order's progress again and again while it can still change. */
export function timeline(first: HTMLElement): void {
  const { src } = first.dataset;
  let every = Number(first.dataset["every"]);
  let status = first.dataset["status"];
  if (!src || !every) return;

  poll(
    async () => {
      swap(await part(src, AbortSignal.timeout(10_000)), ["progress"]);
      const now = document.getElementById("progress");
      every = Number(now?.dataset["every"]);
      const changed = now?.dataset["status"] !== status;
      if (changed) {
        status = now?.dataset["status"];
        announce(`Your order: ${status ?? ""}`);
        // The page around the progress shows the same state; its text has to come from the server.
        if (!every) location.reload();
        else title();
      }
      if (!every) return "over";
      return changed ? "changed" : "same";
    },
    () => every,
  );
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
