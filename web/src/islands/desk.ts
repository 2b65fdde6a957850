/** Loads the script of the support desk. */
export function desk(root: HTMLElement): void {
  const { src } = root.dataset;
  if (src) void import(src).then((script: { start(root: HTMLElement): void }) => script.start(root));
}
