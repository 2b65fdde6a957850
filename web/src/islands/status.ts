import { announce, part, poll, swap } from "../page";

/** Refreshes a part of the back office. Announces changes of the state, not of every figure. */
export function status(first: HTMLElement): void {
  const { id } = first;
  const { src } = first.dataset;
  let announced = first.dataset["announce"];
  let every = Number(first.dataset["every"]);
  if (!src || !every) return;
  const quiet = (): void => first.ownerDocument.querySelector<HTMLElement>(`#${id} [data-again]`)?.setAttribute("hidden", "");
  quiet();

  poll(
    async () => {
      const before = document.getElementById(id)?.innerText;
      swap(await part(src, AbortSignal.timeout(10_000)), [id]);
      quiet();
      const now = document.getElementById(id);
      every = Number(now?.dataset["every"]) || every;
      if (now?.dataset["announce"] !== announced) {
        announced = now?.dataset["announce"];
        announce(announced || "Index status unavailable.");
      }
      return now?.innerText === before ? "same" : "changed";
    },
    () => every,
  );
}
