import { announce } from "../page";

type Kind = "title" | "author" | "subject";

interface Suggestion {
  text: string;
  kind: Kind;
  id: string;
  /** Of a title. */
  authors?: string[];
  price?: { amount: number; currency: string };
  cover_url?: string;
  /** The title's language, a BCP 47 tag. */
  lang?: string;
}

/** What the list offers: searching for what was typed comes first. */
type Offer = Suggestion | { kind: "search"; text: string; id: "" };

const KINDS: Record<Kind, { label: string; href: (one: Suggestion) => string }> = {
  title: { label: "Titles", href: ({ id }) => `/books/${encodeURIComponent(id)}` },
  author: { label: "Authors", href: ({ text }) => `/books?author=${encodeURIComponent(text)}` },
  subject: { label: "Subjects", href: ({ text }) => `/books?subject=${encodeURIComponent(text)}` },
};

/** How long typing rests before the shop is asked, in ms. */
const REST = 120;
/** How long an answer may take until it is no use any more, in ms. */
const ANSWER_TIMEOUT = 8_000;
/** How long typing rests before the number of suggestions is announced, in ms. */
const SPOKEN = 700;
/** Who types more describes a book, and no title or name begins so. */
const LONGEST = 80;
/** How many answers are cached for those who type back and forth. */
const CACHED = 60;

/** Suggestions under the search box: an editable combobox with a list box (ARIA 1.2). Without it, the form searches. */
export function find(form: HTMLFormElement): void {
  const box = form.querySelector<HTMLInputElement>("input[name=q]");
  const source = form.dataset["suggest"];
  if (!box || !source) return;

  const list = form.appendChild(document.createElement("div"));
  list.id = `${box.id}-list`;
  list.className = "find__list";
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Suggestions");

  box.type = "text";
  box.spellcheck = false;
  box.autocapitalize = "none";
  for (const [name, value] of [
    ["role", "combobox"],
    ["aria-autocomplete", "list"],
    ["aria-haspopup", "listbox"],
    ["aria-controls", list.id],
    ["aria-expanded", "false"],
  ] as const) {
    box.setAttribute(name, value);
  }

  /** Answers by what was typed. */
  const known = new Map<string, Suggestion[]>();
  /** What is in the list, and what was typed for it. */
  let shown: Offer[] = [];
  let shownFor = "";
  let active = -1;
  let composing = false;
  let resting = 0;
  let speaking = 0;
  let running: AbortController | undefined;

  const typed = (): string => box.value.trim().replace(/\s+/g, " ");
  const isOpen = (): boolean => !list.hidden;
  const options = (): NodeListOf<HTMLElement> => list.querySelectorAll<HTMLElement>("[role=option]");

  function close(): void {
    list.hidden = true;
    box!.setAttribute("aria-expanded", "false");
    mark(-1);
  }

  /** Stops waiting for suggestions. */
  function forget(): void {
    clearTimeout(resting);
    clearTimeout(speaking);
    running?.abort();
    running = undefined;
  }

  function open(): void {
    list.hidden = shown.length === 0;
    box!.setAttribute("aria-expanded", String(isOpen()));
  }

  /** Makes an option the active one; -1 is the box itself. */
  function mark(place: number): void {
    active = place;
    box!.removeAttribute("aria-activedescendant");
    options().forEach((option, at) => {
      option.setAttribute("aria-selected", String(at === place));
      if (at !== place) return;
      box!.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    });
  }

  /** Fills the list. Kinds stand in the order in which the best of each came. */
  function show(items: Suggestion[], text: string): void {
    const kinds = [...new Set(items.map(({ kind }) => kind))].filter((kind) => kind in KINDS);
    const chosen = shown[active]?.id;
    const search: Offer[] = text === "" ? [] : [{ kind: "search", text, id: "" }];
    shown = [...search, ...kinds.flatMap((kind) => items.filter((item) => item.kind === kind))];
    shownFor = text;
    let place = 0;
    const option = (name: string): HTMLElement =>
      element("div", name, { role: "option", id: `${list.id}-${place}`, "aria-selected": "false" });
    const first = search.map(() => {
      const made = option("find__option find__option--search");
      made.append("Search for “", Object.assign(document.createElement("mark"), { textContent: text }), "”");
      place++;
      return made;
    });
    list.replaceChildren(
      ...first,
      ...kinds.map((kind) => {
        const group = element("div", "find__group", { role: "group", "aria-labelledby": `${list.id}-${kind}` });
        const label = element("div", "find__kind", { role: "presentation", id: `${list.id}-${kind}` });
        label.textContent = KINDS[kind].label;
        group.append(label);
        for (; shown[place]?.kind === kind; place++) {
          const made = option("find__option");
          made.append(...content(shown[place] as Suggestion, text));
          group.append(made);
        }
        return group;
      }),
    );
    open();
    // An answer that comes while somebody chooses does not take the choice away.
    mark(chosen === undefined ? -1 : shown.findIndex(({ id }) => id === chosen));
  }

  function say(): void {
    clearTimeout(speaking);
    speaking = setTimeout(() => {
      if (document.activeElement !== box || shownFor !== typed()) return;
      const count = shown.length - 1;
      announce(count === 0 ? "No suggestions." : `${count === 1 ? "1 suggestion" : `${count} suggestions`}. Choose with the arrow keys.`);
    }, SPOKEN);
  }

  /** Asks for what is typed now. Only the answer to it is ever shown, however late others come. */
  async function ask(): Promise<void> {
    const text = typed();
    forget();
    const own = (running = new AbortController());
    const late = setTimeout(() => own.abort(), ANSWER_TIMEOUT);
    try {
      let items = known.get(text);
      if (!items) {
        const response = await fetch(`${source}?q=${encodeURIComponent(text)}`, {
          headers: { Accept: "application/json" },
          credentials: "same-origin",
          signal: own.signal,
        });
        if (!response.ok) throw new Error(`status ${response.status}`);
        items = ((await response.json()) as { items: Suggestion[] }).items;
        if (known.size >= CACHED) known.delete(known.keys().next().value ?? "");
        known.set(text, items);
      }
      if (own.signal.aborted || running !== own || text !== typed() || document.activeElement !== box) return;
      show(items, text);
      say();
    } catch {
      // Searching goes on without suggestions.
    } finally {
      clearTimeout(late);
    }
  }

  /** The text changed: what does not fit it any more goes at once, what fits it comes when typing rests. */
  function changed(): void {
    forget();
    const text = typed();
    mark(-1);
    const items = text === "" ? [] : (known.get(text) ?? shown.filter(isSuggestion).filter((one) => fits(`${one.text} ${one.authors?.join(" ") ?? ""}`, text)));
    show(items, text);
    if (text === "" || text.length > LONGEST) return;
    if (known.has(text)) say();
    else resting = setTimeout(ask, REST);
  }

  function go(place: number): void {
    const chosen = shown[place];
    if (!chosen) return;
    forget();
    close();
    if (isSuggestion(chosen)) location.assign(KINDS[chosen.kind].href(chosen));
    else form.requestSubmit();
  }

  box.addEventListener("compositionstart", () => (composing = true));
  box.addEventListener("compositionend", () => {
    composing = false;
    changed();
  });
  box.addEventListener("input", () => {
    if (!composing) changed();
  });
  box.addEventListener("blur", () => {
    forget();
    close();
  });
  form.addEventListener("submit", () => {
    forget();
    close();
  });
  addEventListener("pageshow", close);

  box.addEventListener("keydown", (event) => {
    if (event.isComposing || composing || event.ctrlKey || event.metaKey) return;
    const last = shown.length - 1;
    switch (event.key) {
      case "ArrowDown":
      case "ArrowUp": {
        event.preventDefault();
        const down = event.key === "ArrowDown";
        if (event.altKey) {
          if (down) reopen(-1);
          else close();
        } else if (!isOpen()) {
          reopen(down ? 0 : Infinity);
        } else {
          // The box itself is a stop on the way round.
          const next = active + (down ? 1 : -1);
          mark(next > last ? -1 : next < -1 ? last : next);
        }
        return;
      }
      case "Home":
      case "End":
        if (active < 0 || event.shiftKey) return;
        event.preventDefault();
        mark(event.key === "Home" ? 0 : last);
        return;
      case "Enter":
        if (!isOpen() || active < 0) return;
        event.preventDefault();
        go(active);
        return;
      case "Escape":
        if (isOpen()) {
          event.preventDefault();
          forget();
          close();
        } else if (box.value !== "") {
          event.preventDefault();
          box.value = "";
          changed();
        }
        return;
      case "ArrowLeft":
      case "ArrowRight":
        // Back to the text.
        mark(-1);
    }
  });

  /** Opens the list for what stands in the box, and goes to an option of it. */
  async function reopen(place: number): Promise<void> {
    if (typed() === "" || typed().length > LONGEST) return;
    if (shownFor !== typed() || !known.has(shownFor)) await ask();
    if (shownFor !== typed()) return;
    open();
    mark(Math.min(place, shown.length - 1));
  }

  // The focus stays in the box while the mouse chooses.
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const option = (event.target as Element).closest("[role=option]");
    go([...options()].findIndex((one) => one === option));
  });
}

function isSuggestion(offer: Offer): offer is Suggestion {
  return offer.kind !== "search";
}

/** What an option shows: of a title also its cover, its authors and its price. */
function content(one: Suggestion, typed: string): Node[] {
  const text = element("span", "find__text", one.kind === "title" ? languageOf(one) : {});
  text.append(...highlight(one.text, typed));
  if (one.kind !== "title") return [text];
  const shown: Node[] = [];
  if (one.cover_url) {
    shown.push(element("img", "find__cover", { src: one.cover_url, alt: "", width: "32", height: "48", loading: "lazy" }));
  }
  if (one.authors?.length) {
    const by = element("span", "find__by", {});
    by.append(" ", ...highlight(one.authors.join(", "), typed));
    text.append(by);
  }
  shown.push(text);
  if (one.price) {
    const price = element("span", "find__price", {});
    price.textContent = ` ${money(one.price)}`;
    shown.push(price);
  }
  return shown;
}

/** Letters of scripts that are written from right to left. */
const BACKWARDS = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;

/** Attributes of a title and its authors that is not in the language of the page. */
function languageOf({ text, lang }: Suggestion): Record<string, string> {
  if (!lang || lang.split("-")[0] === document.documentElement.lang) return {};
  return BACKWARDS.test(text) ? { lang, dir: "rtl" } : { lang };
}

function money({ amount, currency }: { amount: number; currency: string }): string {
  const format = new Intl.NumberFormat("en", { style: "currency", currency });
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

function element(tag: string, name: string, attributes: Record<string, string>): HTMLElement {
  const made = document.createElement(tag);
  made.className = name;
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}

/** Each character in lower case and without its diacritics: as many as the text has. */
function folded(text: string): string[] {
  return [...text].map((character) => character.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase());
}

const LETTER = /[\p{L}\p{N}]/u;

/** Where words of the text begin with this word: places of characters. */
function places(text: string[], word: string[]): number[] {
  return text.flatMap((_, at) => {
    const begins = at === 0 || !LETTER.test(text[at - 1] ?? "");
    return begins && word.every((character, offset) => text[at + offset] === character) ? [at] : [];
  });
}

/** Whether each of the words that are typed begins a word of the text. */
function fits(text: string, typed: string): boolean {
  const whole = folded(text);
  return typed.split(" ").every((word) => places(whole, folded(word)).length > 0);
}

/** The text with what was typed marked in it. */
function highlight(text: string, typed: string): Node[] {
  const characters = [...text];
  const whole = folded(text);
  const marked = new Set<number>();
  // All of it where it stands together, else each of its words.
  const phrase = folded(typed);
  const words = places(whole, phrase).length > 0 ? [phrase] : typed.split(" ").filter(Boolean).map(folded);
  for (const word of words) {
    for (const at of places(whole, word)) word.forEach((_, offset) => marked.add(at + offset));
  }
  const nodes: Node[] = [];
  for (let from = 0, to = 0; from < characters.length; from = to) {
    const inside = marked.has(from);
    while (to < characters.length && marked.has(to) === inside) to++;
    const piece = characters.slice(from, to).join("");
    nodes.push(inside ? Object.assign(document.createElement("mark"), { textContent: piece }) : document.createTextNode(piece));
  }
  return nodes;
}
