// Small helpers to make parts of the page. Text is always set as text, never as markup.

type Child = Node | string | boolean | undefined;
type Props = Record<string, string | boolean | undefined | ((event: Event) => void)>;

/** Makes an element: attributes by name, handlers as `onclick` and the like. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child): child is Node | string => typeof child === "object" || typeof child === "string"));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** An icon made of lines, hidden from screen readers. */
export function icon(size: number, ...paths: string[]): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["viewBox", "0 0 20 20"], ["width", `${size}`], ["height", `${size}`], ["aria-hidden", "true"]] as const) {
    svg.setAttribute(name, value);
  }
  for (const d of paths) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/** Sets an element's text if it changed; an element without text is hidden. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === "";
}

/** The time of a message: the hour, and the day unless it is today. */
export function time(at: string): HTMLTimeElement {
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  const shown = date.toLocaleString("en", { ...(today ? {} : { day: "numeric", month: "short" }), hour: "2-digit", minute: "2-digit", hour12: false });
  return h("time", { datetime: at, title: date.toLocaleString("en") }, shown);
}

/** A link of a message. */
interface Linked {
  title: string;
  href: string;
}

/**
 * The text of a message with its links. Lines that begin with a hyphen become a list, and a line with a link's title
 * becomes that link, so that nothing is shown twice. `link` makes the element; without it titles are plain text.
 */
export function words(text: string, links: Linked[], link?: (title: string, href: string, card: boolean) => HTMLElement, plain = (line: string): (Node | string)[] => [line]): HTMLElement[] {
  const parts: HTMLElement[] = [];
  const used = new Set<Linked>();
  let lines: string[] = [];
  let items: HTMLElement[] = [];
  const close = (): void => {
    if (lines.join("").trim() !== "") parts.push(h("p", { class: "msg__text" }, ...plain(lines.join("\n").trim())));
    if (items.length > 0) parts.push(h("ul", { class: "msg__list" }, ...items));
    [lines, items] = [[], []];
  };
  for (const line of text.split("\n")) {
    const item = /^- (.+)$/.exec(line)?.[1];
    if (item === undefined) {
      if (items.length > 0) close();
      lines.push(line);
      continue;
    }
    if (lines.length > 0) close();
    const target = links.find((one) => !used.has(one) && item.includes(one.title));
    if (target) used.add(target);
    items.push(h("li", {}, ...(target && link ? [link(item, target.href, true)] : plain(item))));
  }
  close();
  const rest = links.filter((one) => !used.has(one));
  if (rest.length > 0) parts.push(h("ul", { class: "msg__links" }, ...rest.map(({ title, href }) => h("li", {}, link ? link(title, href, false) : title))));
  return parts;
}

/** The length in characters (code points), as the shop counts them. */
export function length(text: string): number {
  return [...text].length;
}

/** Whether an address is one of this shop's own. */
export function isLocal(href: string): boolean {
  return href.startsWith("/") && new URL(href, location.origin).origin === location.origin;
}

/** Makes a text area as high as its text, up to the limit in the style sheet. */
export function grow(area: HTMLTextAreaElement): void {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

/** Debounces: calls `done` once, this many ms after the last call. */
export function rest(wait: number, done: () => void): () => void {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(done, wait);
  };
}
