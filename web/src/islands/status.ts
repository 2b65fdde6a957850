import { type Look, announce, part, poll, swap } from "../page";

/**
 * Refreshes a part of the back office: every now and then, or when the server says that it has changed, where it does. Announces
 * changes of the state, not of every figure.
 */
export function start(first: HTMLElement): void {
  const { id } = first;
  const { src, events } = first.dataset;
  let announced = first.dataset["announce"];
  let every = Number(first.dataset["every"]);
  if (!src || !every) return;
  const quiet = (): void => first.ownerDocument.querySelector<HTMLElement>(`#${id} [data-again]`)?.setAttribute("hidden", "");
  quiet();

  let last = 0;
  const look = async (): Promise<Look> => {
    last = Date.now();
    const before = document.getElementById(id)?.innerText;
    const html = await part(src, AbortSignal.timeout(10_000));
    const open = document.querySelectorAll(`#${id} details[open]`);
    swap(html, [id]);
    for (const { id } of open) document.getElementById(id)?.setAttribute("open", "");
    quiet();
    const now = document.getElementById(id);
    every = Number(now?.dataset["every"]) || every;
    if (now?.dataset["announce"] !== announced) {
      announced = now?.dataset["announce"];
      announce(announced || "Status unavailable.");
    }
    return now?.innerText === before ? "same" : "changed";
  };

  let stream: EventSource | undefined;
  poll(
    async () => {
      if (!events) return look();
      // A browser gives a stream up for good when the server refuses it once.
      if (!stream || stream.readyState === EventSource.CLOSED) {
        stream = new EventSource(events);
        stream.addEventListener("look", () => document.hidden || look().catch(() => undefined));
      }
      if (Date.now() - last > 2 * every) await look();
      return "changed";
    },
    () => every,
  );
}
