/** Opens the filters where there is room beside the books. */
export function filters(root: HTMLDetailsElement): void {
  if (matchMedia("(min-width: 60rem)").matches) root.open = true;
}
