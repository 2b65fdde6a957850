import { grow, h, icon, isLocal, length, setText, time, words } from "./dom";
import { type Conversation, LONGEST, type Message } from "./model";
import type { Outgoing } from "./store";

/** How far an own message has got. */
export type Reached = "waiting" | "sent" | "delivered" | "read" | "failed";

/** The customer's actions in the panel. */
export interface Actions {
  close(): void;
  send(text: string): void;
  typed(text: string): void;
  askForPerson(): void;
  end(): void;
  rate(score: number, comment: string): Promise<void>;
  transcript(email: string): Promise<void>;
  /** Leaves an address for the answer. */
  leaveAddress(email: string): Promise<void>;
  remove(): Promise<void>;
  anew(): void;
  earlier(): void;
  /** Takes back a message that could not be sent. */
  discard(id: string): string;
  followed(): void;
}

/** The state of the conversation as a whole. */
export interface PanelState {
  shop: string;
  conversation: Conversation | undefined;
  /** Whether the shop can be reached. */
  on: boolean;
  /** Whether it was reached before. */
  wasOn: boolean;
  /** Whether it has not been reached for so long that writing by other means is quicker. */
  away: boolean;
  signedIn: boolean;
  agentOnline: boolean | undefined;
  waiting: number | undefined;
  answerByMail: boolean;
}

const REACHED_LABELS: Record<Reached, string> = { waiting: "Waiting to send", sent: "Sent", delivered: "Delivered", read: "Read", failed: "Not sent" };
const STARTERS = ["Where is my order?", "What does delivery cost?", "Recommend me a book", "How do I return a book?"];
/** How long after it is filled screen readers announce new messages, in ms. */
const SETTLED = 400;
/** The length from which it is shown, in characters. */
const COUNTED = 3_000;

/** The chat's panel. */
export class Panel {
  readonly root: HTMLElement;
  readonly box: HTMLTextAreaElement;
  readonly #actions: Actions;
  readonly #who = h("p", { class: "chat__who" });
  readonly #news = h("p", { class: "chat__news", role: "status", hidden: true });
  readonly #away = h("p", { class: "chat__news chat__news--off", hidden: true }, "You don’t have to wait: ", h("a", { href: "/contact#write" }, "write to us"), " and we’ll reply by email.");
  readonly #scroll: HTMLElement;
  readonly #earlier: HTMLButtonElement;
  readonly #log = h("div", { class: "chat__log", role: "log", "aria-label": "Messages", "aria-live": "off", "aria-relevant": "additions" });
  readonly #draft = h("div", { class: "msg msg--bot msg--draft", "aria-hidden": "true", hidden: true });
  readonly #pending = h("div", { class: "chat__log chat__log--pending", role: "group", "aria-label": "Not sent yet", hidden: true });
  readonly #suggestions = h("div", { class: "chat__suggestions", role: "group", "aria-label": "Suggested replies" });
  readonly #typing = h("p", { class: "chat__typing", hidden: true });
  readonly #address: HTMLFormElement;
  readonly #over = h("div", { class: "chat__over", hidden: true });
  readonly #you: HTMLDetailsElement;
  readonly #more: HTMLDetailsElement;
  readonly #ask: HTMLButtonElement;
  readonly #form: HTMLFormElement;
  readonly #count = h("p", { class: "chat__count", id: "chat-count", hidden: true });
  readonly #sheet = h("div", { class: "chat__sheet", hidden: true });
  readonly #menu: Record<"person" | "end" | "transcript" | "remove" | "anew", HTMLButtonElement>;
  readonly #latest: HTMLButtonElement;

  constructor(shop: string, actions: Actions) {
    this.#actions = actions;
    const item = (text: string, act: () => void): HTMLButtonElement =>
      h("button", { type: "button", class: "chat__item", onclick: () => (this.#fold(), this.focus(), act()) }, text);
    this.#menu = {
      person: item("Talk to a person", () => actions.askForPerson()),
      transcript: item("Email me a transcript", () => this.#askTranscript()),
      end: item("End conversation", () => actions.end()),
      anew: item("Start a new conversation", () => actions.anew()),
      remove: item("Delete conversation", () => this.#askRemove()),
    };
    this.#more = h(
      "details",
      { class: "chat__more" },
      h("summary", { "aria-label": "More about this conversation", title: "More" }, icon(20, "M4 10h.01M10 10h.01M16 10h.01")),
      h("div", { class: "chat__menu" }, ...Object.values(this.#menu)),
    );
    this.#earlier = h("button", { type: "button", class: "link chat__earlier", hidden: true, onclick: () => actions.earlier() }, "Show earlier messages");
    this.#ask = h("button", { type: "button", class: "link", onclick: () => actions.askForPerson() }, "Talk to a person");
    this.#you = h(
      "details",
      { class: "chat__you" },
      h("summary", {}, "Your name and email (optional)"),
      h("p", { class: "chat__fine" }, "If nobody’s available, we’ll reply by email."),
      h("div", { class: "field" }, h("label", { for: "chat-name" }, "Name"), h("input", { id: "chat-name", autocomplete: "name", maxlength: "100" })),
      h("div", { class: "field" }, h("label", { for: "chat-email" }, "Email"), h("input", { id: "chat-email", type: "email", autocomplete: "email", maxlength: "254" })),
    );
    this.#address = this.#makeAddress();
    this.#scroll = h(
      "div",
      { class: "chat__scroll", tabindex: "0", role: "group", "aria-label": "Conversation" },
      h(
        "div",
        { class: "chat__intro" },
        h("p", {}, h("strong", {}, "You’re chatting with our bot. "), "It can look things up in the shop right away."),
        h("p", {}, "Prefer a person? ", this.#ask),
      ),
      this.#you,
      this.#earlier,
      this.#log,
      this.#draft,
      this.#pending,
      this.#typing,
      this.#suggestions,
      this.#address,
      this.#over,
    );
    this.#latest = h("button", { type: "button", class: "chat__latest", hidden: true, onclick: () => this.toEnd() }, "New messages ↓");
    this.box = h("textarea", {
      id: "chat-text",
      class: "chat__text",
      rows: "1",
      enterkeyhint: "send",
      placeholder: "Write a message",
      "aria-describedby": "chat-keys chat-count",
    });
    this.#form = h(
      "form",
      { class: "chat__form" },
      h("label", { class: "hidden", for: "chat-text" }, "Your message"),
      this.box,
      h("button", { type: "submit", class: "chat__send", "aria-label": "Send", title: "Send" }, icon(20, "M3 10 17 3.5 13.5 17 9.8 11.2zM9.8 11.2 17 3.5")),
      h("p", { class: "chat__keys", id: "chat-keys" }, "Enter to send, Shift + Enter for a new line."),
      this.#count,
    );
    this.root = h(
      "section",
      { class: "chat", id: "chat", role: "dialog", "aria-modal": "false", "aria-labelledby": "chat-title", tabindex: "-1", hidden: true },
      h(
        "header",
        { class: "chat__head" },
        h("div", { class: "chat__title" }, h("h2", { id: "chat-title" }, `Chat with ${shop}`), this.#who),
        this.#more,
        h("button", { type: "button", class: "chat__close", "aria-label": "Close the chat", title: "Close (Escape)", onclick: () => actions.close() }, icon(20, "M5 5l10 10M15 5 5 15")),
      ),
      this.#news,
      this.#away,
      this.#scroll,
      this.#latest,
      this.#sheet,
      this.#form,
    );
    this.#listen();
  }

  #listen(): void {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    this.box.addEventListener("input", () => {
      this.#measure();
      this.#actions.typed(this.box.value);
    });
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.preventDefault();
      event.stopPropagation();
      if (this.#more.open) this.#fold(true);
      else if (!this.#sheet.hidden) this.#closeSheet();
      else this.#actions.close();
    });
    this.root.addEventListener("focusout", ({ relatedTarget }) => {
      if (this.#more.open && relatedTarget && !this.#more.contains(relatedTarget as Node)) this.#fold();
    });
    this.root.addEventListener("click", ({ target }) => {
      if (this.#more.open && !this.#more.contains(target as Node)) this.#fold();
    });
    this.#scroll.addEventListener("scroll", () => {
      if (this.#isAtEnd()) this.#latest.hidden = true;
    });
  }

  /** The text in the box. */
  set text(text: string) {
    this.box.value = text;
    this.#measure();
  }

  /** The name and email that a guest entered. */
  guest(): { name?: string; email?: string } {
    const value = (id: string): string => this.#you.querySelector<HTMLInputElement>(`#${id}`)?.value.trim() ?? "";
    const [name, email] = [value("chat-name"), value("chat-email")];
    return { ...(name && { name }), ...(email && { email }) };
  }

  show(open: boolean): void {
    this.root.hidden = !open;
    if (open) {
      grow(this.box);
      this.toEnd();
    }
  }

  /** Whether screen readers announce messages from now on. Those already there never are. */
  voice(on: boolean): void {
    if (!on) this.#log.setAttribute("aria-live", "off");
    else setTimeout(() => this.#log.setAttribute("aria-live", "polite"), SETTLED);
  }

  clear(): void {
    this.#log.replaceChildren();
    this.#suggestions.replaceChildren();
    this.draft();
    this.typing("");
  }

  /** Puts messages at the end, or before all others. */
  add(messages: Message[], reached: (seq: number) => Reached, before = false): void {
    const atEnd = this.#isAtEnd();
    const height = this.#scroll.scrollHeight;
    const made = messages.map((message) => this.#bubble(message, message.author === "customer" ? reached(message.seq) : undefined));
    if (before) {
      this.#log.prepend(...made);
      this.#scroll.scrollTop += this.#scroll.scrollHeight - height;
      return;
    }
    this.#log.append(...made);
    const last = messages.at(-1);
    if (last) this.suggest(last.author === "customer" ? [] : (last.suggestions ?? []));
    this.#follow(atEnd || last?.author === "customer");
  }

  suggest(texts: string[]): void {
    this.#suggestions.replaceChildren(
      ...texts.map((text) => h("button", { type: "button", class: "chat__suggestion", onclick: () => (this.#actions.send(text), this.box.focus()) }, text)),
    );
  }

  /** Says of each own message how far it has got. */
  mark(reached: (seq: number) => Reached): void {
    for (const one of this.#log.querySelectorAll<HTMLElement>(".msg--customer")) {
      const foot = one.querySelector<HTMLElement>(".msg__state");
      if (foot) tick(foot, reached(Number(one.dataset["seq"])));
    }
  }

  /** Messages that are not acknowledged, under those that are. */
  pending(all: (Outgoing & { reached: Reached; why?: string })[]): void {
    const atEnd = this.#isAtEnd();
    this.#pending.hidden = all.length === 0;
    this.#pending.replaceChildren(
      ...all.map(({ id, text, at, reached, why }) => {
        const foot = h("p", { class: "msg__foot" }, time(new Date(at).toISOString()), h("span", { class: "msg__state" }));
        tick(foot.lastElementChild as HTMLElement, reached);
        if (why !== undefined) {
          const edit = (): void => {
            this.text = this.#actions.discard(id);
            this.box.focus();
          };
          foot.append(h("span", { class: "msg__why" }, why), h("button", { type: "button", class: "link", onclick: edit }, "Edit"));
        }
        return h("div", { class: `msg msg--customer msg--${reached}` }, h("p", { class: "msg__text" }, text), foot);
      }),
    );
    this.#follow(atEnd);
  }

  /** Words of an answer that is being written; nothing when none is. */
  draft(text?: string): void {
    const atEnd = this.#isAtEnd();
    this.#draft.hidden = text === undefined;
    this.#draft.replaceChildren(h("p", { class: "msg__text" }, text || "…"));
    this.#follow(atEnd);
  }

  typing(words: string): void {
    const atEnd = this.#isAtEnd();
    setText(this.#typing, words);
    this.#follow(atEnd);
  }

  earlier(there: boolean): void {
    this.#earlier.hidden = !there;
  }

  /** Shows a notice above the messages, until the next `update`. */
  news(text: string): void {
    setText(this.#news, text);
  }

  /** Shows where the conversation stands. */
  update(standing: PanelState): void {
    const { conversation, on, signedIn } = standing;
    const status = conversation?.status;
    const over = status === "resolved" || status === "closed";
    setText(this.#who, who(standing));
    setText(this.#news, news(standing));
    this.#news.classList.toggle("chat__news--off", !on && (standing.wasOn || standing.away));
    this.#away.hidden = on || !standing.away;
    this.root.dataset["status"] = status ?? "new";
    this.#ask.disabled = !on;
    this.#scroll.firstElementChild?.toggleAttribute("hidden", status !== undefined && status !== "bot");
    // Only before a conversation, and not in the way of the page's own forms after that.
    if (conversation || signedIn) this.#you.remove();
    else if (!this.#you.isConnected) this.#earlier.before(this.#you);
    if (!conversation && this.#log.childElementCount === 0 && this.#pending.childElementCount === 0) {
      if (this.#suggestions.childElementCount === 0) this.suggest(STARTERS);
    }
    this.#address.hidden = !on || signedIn || status !== "queued" || conversation?.email_known !== false;
    this.#menu.person.hidden = status !== undefined && status !== "bot";
    this.#menu.end.hidden = conversation === undefined || over;
    this.#menu.transcript.hidden = this.#menu.remove.hidden = conversation === undefined;
    this.#menu.anew.hidden = !over;
    for (const button of Object.values(this.#menu)) button.disabled = !on;
    this.#form.hidden = status === "closed";
    this.#suggestions.hidden = over;
    this.#wrapUp(over ? conversation : undefined);
  }

  /** What can be done in the end. Kept as it is while nothing changes: somebody may be filling it in. */
  #wrapUp(conversation: Conversation | undefined): void {
    this.#over.hidden = conversation === undefined;
    const key = conversation && `${conversation.id} ${conversation.status} ${conversation.rating}`;
    if (this.#over.dataset["for"] === key) return;
    this.#over.dataset["for"] = key ?? "";
    if (!conversation) return this.#over.replaceChildren();
    const atEnd = this.#isAtEnd();
    const thanks = conversation.rating
      ? h("p", { class: "chat__rated" }, h("span", { "aria-hidden": "true" }, "★".repeat(conversation.rating) + "☆".repeat(5 - conversation.rating)), ` You gave ${conversation.rating} of 5. Thank you!`)
      : this.#rating();
    this.#over.replaceChildren(
      h("h3", {}, conversation.status === "closed" ? "This conversation is closed" : "This conversation has ended"),
      ...(conversation.status === "resolved" ? [h("p", { class: "chat__fine" }, "Reply to reopen it.")] : []),
      thanks,
      h("p", {}, h("button", { type: "button", class: "button button--quiet button--small", onclick: () => this.#actions.anew() }, "Start a new conversation")),
    );
    this.#follow(atEnd);
  }

  /** Asks a guest who waits for a person where an answer may go. */
  #makeAddress(): HTMLFormElement {
    const email = h("input", { id: "chat-address", type: "email", autocomplete: "email", maxlength: "254", required: true });
    const status = h("p", { class: "field__error", role: "alert", hidden: true });
    const form = h(
      "form",
      { class: "chat__address", hidden: true },
      h("div", { class: "field" }, h("label", { for: "chat-address" }, "Your email, so we can reply if you have to go"), email),
      h("button", { type: "submit", class: "button button--small" }, "Save email"),
      status,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      setText(status, "");
      this.#actions.leaveAddress(email.value.trim()).then(
        () => this.focus(),
        () => setText(status, "We couldn’t save that address. Check it and try again."),
      );
    });
    return form;
  }

  #rating(): HTMLElement {
    const stars = [1, 2, 3, 4, 5].map((score) =>
      h("label", { class: "chat__star" }, h("input", { type: "radio", name: "chat-score", value: `${score}`, required: score === 1 }), h("span", { "aria-hidden": "true" }, "★"), h("span", { class: "hidden" }, score === 1 ? "1 star: poor" : score === 5 ? "5 stars: very good" : `${score} stars`)),
    );
    const comment = h("input", { id: "chat-comment", maxlength: "1000", autocomplete: "off" });
    const status = h("p", { class: "chat__fine", role: "status", hidden: true });
    const form = h(
      "form",
      { class: "chat__rate" },
      h("fieldset", { class: "chat__stars" }, h("legend", {}, "How did we do?"), h("div", { class: "chat__starrow" }, ...stars)),
      h("div", { class: "field" }, h("label", { for: "chat-comment" }, "Comments (optional)"), comment),
      h("button", { type: "submit", class: "button button--small" }, "Send rating"),
      status,
    );
    form.addEventListener("change", () => {
      const score = Number(new FormData(form).get("chat-score"));
      stars.forEach((star, place) => star.classList.toggle("chat__star--lit", place < score));
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const score = Number(new FormData(form).get("chat-score"));
      if (!score) return;
      this.#actions.rate(score, comment.value.trim()).then(
        () => this.focus(),
        (error: Error) => setText(status, error.message),
      );
    });
    return form;
  }

  #askTranscript(): void {
    const signedIn = this.#you.dataset["account"] === "yes";
    const email = h("input", { id: "chat-to", type: "email", autocomplete: "email", maxlength: "254", required: true });
    this.#openSheet(
      "Email a transcript",
      signedIn
        ? h("p", { class: "chat__fine" }, "We’ll send it to your account’s email address.")
        : h("div", { class: "field" }, h("label", { for: "chat-to" }, "Email address"), email),
      "Send transcript",
      async () => {
        await this.#actions.transcript(signedIn ? "" : email.value.trim());
        return signedIn ? "The transcript is being sent." : "Check your inbox: confirm the address and we’ll send the transcript.";
      },
    );
  }

  #askRemove(): void {
    const warning = h("p", { class: "chat__fine" }, "This deletes every message for you and for us. You can’t undo it.");
    this.#openSheet("Delete this conversation?", warning, "Delete conversation", async () => {
      await this.#actions.remove();
      return "";
    });
  }

  /** Whether transcripts go to an account's address. */
  account(there: boolean): void {
    this.#you.dataset["account"] = there ? "yes" : "no";
  }

  /** A question above the box; the result of `act` is shown when it is done. */
  #openSheet(title: string, body: HTMLElement, yes: string, act: () => Promise<string>): void {
    const status = h("p", { class: "field__error", role: "alert", hidden: true });
    const form = h(
      "form",
      { "aria-labelledby": "chat-sheet" },
      h("h3", { id: "chat-sheet" }, title),
      body,
      status,
      h(
        "p",
        { class: "chat__choices" },
        h("button", { type: "submit", class: "button button--small" }, yes),
        h("button", { type: "button", class: "button button--quiet button--small", onclick: () => this.#closeSheet() }, "Cancel"),
      ),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      act().then(
        (done) => {
          this.#closeSheet();
          if (done) this.news(done);
        },
        (error: Error) => setText(status, error.message),
      );
    });
    this.#sheet.replaceChildren(form);
    this.#sheet.hidden = false;
    form.querySelector<HTMLElement>("input, button")?.focus();
  }

  #closeSheet(): void {
    this.#sheet.hidden = true;
    this.#sheet.replaceChildren();
    this.focus();
  }

  /** Puts the focus where one goes on. */
  focus(): void {
    if (this.#form.hidden) this.root.focus();
    else this.box.focus();
  }

  #fold(back = false): void {
    this.#more.open = false;
    if (back) this.#more.querySelector("summary")?.focus();
  }

  #submit(): void {
    const text = this.box.value.trim();
    if (text === "" || length(text) > LONGEST) return this.#measure();
    this.text = "";
    this.#actions.send(text);
  }

  #measure(): void {
    grow(this.box);
    const count = length(this.box.value.trim());
    const words = count > LONGEST ? count - LONGEST === 1 ? "1 character too many" : `${(count - LONGEST).toLocaleString("en")} characters too many` : `${count.toLocaleString("en")} of 4,000 characters`;
    setText(this.#count, count < COUNTED ? "" : words);
    this.#count.classList.toggle("chat__count--over", count > LONGEST);
    this.box.setAttribute("aria-invalid", String(count > LONGEST));
  }

  #bubble(message: Message, reached: Reached | undefined): HTMLElement {
    if (message.author === "system") {
      return h("p", { class: "msg msg--system", "data-seq": `${message.seq}` }, message.text, " ", time(message.at));
    }
    const own = message.author === "customer";
    const links = (message.links ?? []).filter(({ href }) => isLocal(href));
    const state = h("span", { class: "msg__state" });
    if (reached) tick(state, reached);
    return h(
      "div",
      { class: `msg msg--${message.author}`, "data-seq": `${message.seq}` },
      h("p", { class: own ? "hidden" : "msg__name" }, own ? "You: " : message.name, message.author === "bot" && !/\bbot\b/i.test(message.name) && h("span", { class: "msg__tag" }, "Bot")),
      ...words(message.text, links, (title, href, card) => h("a", { href, class: card ? "msg__card" : undefined, onclick: () => this.#actions.followed() }, title)),
      h("p", { class: "msg__foot" }, time(message.at), own && state),
    );
  }

  #isAtEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    return scrollHeight - scrollTop - clientHeight < 60;
  }

  #follow(atEnd: boolean): void {
    if (atEnd) this.toEnd();
    else this.#latest.hidden = this.root.hidden;
  }

  toEnd(): void {
    this.#latest.hidden = true;
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }
}

/** Draws how far a message has got; the words are for those who do not see the drawing. */
function tick(place: HTMLElement, reached: Reached): void {
  if (place.dataset["reached"] === reached) return;
  place.dataset["reached"] = reached;
  place.title = REACHED_LABELS[reached];
  const drawn: Record<Reached, string[]> = {
    waiting: ["M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14M10 6v4l3 2"],
    sent: ["M5 10.5l3.5 3.5L15.5 6"],
    delivered: ["M2 10.5l3.5 3.5L12.5 6M9 13l1 1L17.5 6"],
    read: ["M2 10.5l3.5 3.5L12.5 6M9 13l1 1L17.5 6"],
    failed: ["M10 3 18 17H2zM10 8v4M10 14.5v.1"],
  };
  place.replaceChildren(icon(16, ...drawn[reached]), h("span", { class: reached === "waiting" || reached === "failed" ? "" : "hidden" }, REACHED_LABELS[reached]));
}

function who({ conversation, agentOnline }: PanelState): string {
  switch (conversation?.status) {
    case "queued":
      return "Waiting for a person";
    case "with_agent":
      return `Chatting with ${conversation.agent?.name ?? "our team"}${agentOnline === false ? " (away)" : ""}`;
    case "resolved":
    case "closed":
      return "Ended";
    default:
      return "Our bot";
  }
}

function news({ conversation, on, wasOn, away, answerByMail, waiting }: PanelState): string {
  if (!on && away) return "No connection to the chat right now. Messages you write here are sent once it’s back.";
  if (!on) return wasOn ? "No connection. We’ll send your messages when you’re back online." : "Connecting…";
  if (conversation?.status !== "queued") return "";
  if (answerByMail) return "Nobody’s available right now. We’ll reply by email.";
  const place = conversation.queue_position;
  if (!place) return "You’re in the queue.";
  return place === 1 ? "You’re next in the queue." : `You’re number ${place} of ${Math.max(place, waiting ?? place)} in the queue.`;
}
