/** Loads the script of a page that few people see, such as the support desk. */
export function load(root: HTMLElement): void {
  const src = root.dataset["script"];
  if (src) void import(src).then((script: { start(root: HTMLElement): void }) => script.start(root));
}
