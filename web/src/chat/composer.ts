import { grow, h, length, setText } from "./dom";
import { LONGEST } from "./model";

/** A saved reply. */
export interface Reply {
  shortcut: string;
  text: string;
}

/** How many replies are offered at once. */
const OFFERED = 8;

/** Where agents write: Enter sends, `/` offers saved replies (an editable combobox with a list box, ARIA 1.2). */
export class Composer {
  readonly form: HTMLFormElement;
  readonly box: HTMLTextAreaElement;
  replies: Reply[] = [];
  /** What `{name}` becomes; empty for somebody who gave none. */
  name = "";
  readonly #list = h("div", { id: "desk-replies", class: "desk__replies", role: "listbox", "aria-label": "Saved replies", hidden: true });
  readonly #count = h("p", { class: "desk__count", id: "desk-count", hidden: true });
  #offered: Reply[] = [];
  #active = 0;

  constructor(send: (text: string) => void, typed: (text: string) => void) {
    this.box = h("textarea", {
      id: "desk-text",
      class: "desk__text",
      rows: "2",
      role: "combobox",
      "aria-autocomplete": "list",
      "aria-haspopup": "listbox",
      "aria-controls": "desk-replies",
      "aria-expanded": "false",
      "aria-describedby": "desk-keys desk-count",
      autocomplete: "off",
    });
    this.form = h(
      "form",
      { class: "desk__composer" },
      h("label", { for: "desk-text" }, "Your reply"),
      this.#list,
      this.box,
      this.#count,
      h(
        "div",
        { class: "desk__row" },
        h("p", { class: "desk__fine", id: "desk-keys" }, "Enter to send, Shift + Enter for a new line, / for saved replies."),
        h("button", { type: "submit", class: "button button--small" }, "Send"),
      ),
    );
    const submit = (): void => {
      const text = this.box.value.trim();
      if (text === "" || length(text) > LONGEST) return;
      this.text = "";
      send(text);
    };
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    this.box.addEventListener("input", () => {
      this.#measure();
      this.#offer();
      typed(this.box.value);
    });
    this.box.addEventListener("blur", () => this.#close());
    this.box.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (this.#keyInList(event)) return event.preventDefault();
      if (event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      submit();
    });
    // The focus stays in the box while the mouse chooses.
    this.#list.addEventListener("mousedown", (event) => event.preventDefault());
    this.#list.addEventListener("click", ({ target }) => {
      const option = (target as Element).closest("[role=option]");
      this.#take([...this.#list.children].findIndex((one) => one === option));
    });
  }

  get text(): string {
    return this.box.value;
  }

  set text(text: string) {
    this.box.value = text;
    this.#close();
    this.#measure();
  }

  #keyInList(event: KeyboardEvent): boolean {
    if (this.#list.hidden) return false;
    const last = this.#offered.length - 1;
    switch (event.key) {
      case "ArrowDown":
        this.#mark(this.#active === last ? 0 : this.#active + 1);
        return true;
      case "ArrowUp":
        this.#mark(this.#active === 0 ? last : this.#active - 1);
        return true;
      case "Enter":
      case "Tab":
        this.#take(this.#active);
        return true;
      case "Escape":
        event.stopPropagation();
        this.#close();
        return true;
      default:
        return false;
    }
  }

  /** Offers what begins with, or contains, what is typed after the slash. */
  #offer(): void {
    const [, typed] = /^\/(\S{0,30})$/.exec(this.box.value) ?? [];
    if (typed === undefined) return this.#close();
    const words = typed.toLowerCase();
    const begin = this.replies.filter(({ shortcut }) => shortcut.startsWith(words));
    const contain = this.replies.filter((reply) => !begin.includes(reply) && `${reply.shortcut} ${reply.text}`.toLowerCase().includes(words));
    this.#offered = [...begin, ...contain].slice(0, OFFERED);
    this.#list.replaceChildren(
      ...this.#offered.map(({ shortcut, text }, place) =>
        h("div", { id: `desk-reply-${place}`, class: "desk__reply", role: "option", "aria-selected": "false" }, h("b", {}, `/${shortcut} `), h("span", {}, this.#filled(text))),
      ),
    );
    this.#list.hidden = this.#offered.length === 0;
    this.box.setAttribute("aria-expanded", String(!this.#list.hidden));
    if (this.#list.hidden) this.#close();
    else this.#mark(0);
  }

  #mark(place: number): void {
    this.#active = place;
    [...this.#list.children].forEach((option, at) => {
      option.setAttribute("aria-selected", String(at === place));
      if (at === place) option.scrollIntoView({ block: "nearest" });
    });
    this.box.setAttribute("aria-activedescendant", `desk-reply-${place}`);
  }

  #take(place: number): void {
    const reply = this.#offered[place];
    if (!reply) return;
    this.text = this.#filled(reply.text);
    this.box.focus();
    this.box.dispatchEvent(new Event("input"));
  }

  #filled(text: string): string {
    return filled(text, this.name);
  }

  #close(): void {
    this.#list.hidden = true;
    this.box.setAttribute("aria-expanded", "false");
    this.box.removeAttribute("aria-activedescendant");
  }

  #measure(): void {
    grow(this.box);
    const count = length(this.box.value.trim());
    setText(this.#count, count < 3_000 ? "" : count > LONGEST ? (count - LONGEST === 1 ? "1 character too many" : `${(count - LONGEST).toLocaleString("en")} characters too many`) : `${count.toLocaleString("en")} of 4,000 characters`);
    this.#count.classList.toggle("desk__count--over", count > LONGEST);
    this.box.setAttribute("aria-invalid", String(count > LONGEST));
  }
}

/** A reply with the name in place. Without one, the name goes together with the comma before or after it. */
function filled(text: string, name: string): string {
  if (name !== "") return text.replaceAll("{name}", name);
  const nameless = text.replace(/^\{name\}[,:!]?\s*/, "").replace(/,?[^\S\n]*\{name\}/g, "");
  return nameless.charAt(0).toUpperCase() + nameless.slice(1);
}
