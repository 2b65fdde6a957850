// The desk as it is shown: the lists, the open conversation, and what is known of the customer.
import type { Composer } from "./composer";
import { capitalised, LANGUAGES } from "./desk-controls";
import { h, setText, time, words } from "./dom";
import { GUEST, type Context, type Conversation, type Message, type Note, type QueueState } from "./model";

const STATUS: Record<Conversation["status"], string> = { bot: "With the bot", queued: "Waiting", with_agent: "With an agent", resolved: "Resolved", closed: "Closed" };
/** Why the bot asked for a person. */
const REASONS: Record<string, string> = {
  complaint: "complaint",
  payment_trouble: "payment problem",
  wanted: "asked for a person",
  not_understood: "the bot didn’t understand",
  upset: "sounds upset",
  beyond_the_bot: "the bot can’t do this",
};
/** What a message is about, for agents; a name without a label is written out. */
const INTENTS: Record<string, string> = {
  cancel_order: "Cancel order",
  change_order: "Change order",
  change_shipping_address: "Change address",
  check_cancellation_fee: "Cancellation fee",
  check_invoice: "Invoice",
  check_payment_methods: "Ways to pay",
  check_refund_policy: "Refund policy",
  complaint: "Complaint",
  contact_customer_service: "Wants a person",
  contact_human_agent: "Wants a person",
  create_account: "Create account",
  delete_account: "Delete account",
  delivery_options: "Shipping options",
  delivery_period: "Delivery time",
  edit_account: "Edit account",
  get_invoice: "Invoice",
  get_refund: "Wants a refund",
  newsletter_subscription: "Newsletter",
  payment_issue: "Payment problem",
  place_order: "How to order",
  recover_password: "Forgot password",
  registration_problems: "Can’t register",
  review: "Feedback",
  set_up_shipping_address: "Delivery address",
  switch_account: "Switch account",
  track_order: "Where’s my order",
  track_refund: "Where’s my refund",
  find_book: "Looking for a book",
  book_availability: "In stock?",
  recommend_book: "Recommendation",
  store_information: "About the shop",
  greeting: "Greeting",
  thanks: "Thanks",
  out_of_scope: "Something else",
};
/** Order numbers as people write them. Two letters and eight symbols: no word looks like that. */
const ORDER_NUMBER = /\bBW[-– ]?([0-9A-Z]{4})[-– ]?([0-9A-Z]{4})\b/gi;

/** A conversation that is open at this desk. */
export interface Thread {
  conversation: Conversation;
  messages: Message[];
  notes: Note[];
  context: Context;
  customerOnline: boolean | undefined;
  /** The line that says who is typing; empty when nobody is. */
  typing: string;
  draft: string;
  note: string;
  /** Own messages that are not acknowledged; with the reason when one was refused. */
  outgoing: { id: string; text: string; why?: string }[];
}

/** The desk's state. */
export class State {
  me = "";
  queue: QueueState = { waiting: [], agents: [] };
  readonly threads = new Map<string, Thread>();
  /** The agent's own conversations. */
  mine = new Set<string>();
  current: string | undefined;

  get open(): Thread | undefined {
    return this.current === undefined ? undefined : this.threads.get(this.current);
  }

  unread(thread: Thread): number {
    return thread.messages.filter(({ author, seq }) => author === "customer" && seq > thread.conversation.agent_read.read).length;
  }
}

/** What the agent does in the view. */
export interface Actions {
  accept(id: string): void;
  /** Opens a queued conversation without accepting it. */
  look(id: string): void;
  go(id: string | undefined): void;
  end(resolution: "resolved" | "closed"): void;
  reopen(): void;
  askTransfer(): void;
  addNote(text: string): void;
  help(): void;
  /** The open conversation was shown. */
  shown(): void;
}

export class DeskView {
  readonly #root: HTMLElement;
  readonly #desk: State;
  readonly #actions: Actions;
  readonly #composer: Composer;
  readonly #title = document.title;

  readonly #state = h("p", { class: "desk__state", role: "status" }, "Connecting…");
  readonly #problem = h("p", { class: "note desk__problem", role: "alert", hidden: true });
  readonly #waiting = h("ul", { class: "desk__list" });
  readonly #waitingNone = h("p", { class: "quiet" }, "Queue is empty.");
  readonly #waitingCount = h("span", { class: "desk__number" }, "0");
  readonly #own = h("ul", { class: "desk__list" });
  readonly #ownNone = h("p", { class: "quiet" }, "You have no open chats.");
  readonly #ownCount = h("span", { class: "desk__number" }, "0");
  readonly #colleagues = h("ul", { class: "plain" });
  readonly #thread = h("section", { class: "desk__thread", "aria-label": "Conversation", tabindex: "-1" });
  readonly #head = h("header", { class: "desk__head" });
  readonly #scroll = h("div", { class: "desk__scroll", tabindex: "0", role: "group", "aria-label": "Messages" });
  readonly #log = h("div", { class: "chat__log", role: "log", "aria-label": "Messages", "aria-live": "off", "aria-relevant": "additions" });
  readonly #pending = h("div", { class: "chat__log chat__log--pending", role: "group", "aria-label": "Not sent yet", hidden: true });
  readonly #typing = h("p", { class: "chat__typing", hidden: true });
  readonly #foot = h("p", { class: "desk__foot", hidden: true });
  readonly #empty = h("div", { class: "empty desk__empty" }, h("h2", {}, "No chat selected"), h("p", {}, "Accept one from the queue, or open one of yours."));
  readonly #side = h("aside", { class: "desk__side", "aria-label": "About the customer", hidden: true });
  readonly #about = h("div", { class: "desk__about" });
  readonly #notes = h("ol", { class: "desk__notes" });
  readonly #note = h("textarea", { id: "desk-note", rows: "2", maxlength: "4000" });

  constructor(root: HTMLElement, desk: State, composer: Composer, actions: Actions) {
    this.#root = root;
    this.#desk = desk;
    this.#composer = composer;
    this.#actions = actions;
  }

  /** Builds the page around the agent's settings and the dialogs. */
  build(settings: HTMLElement, ...dialogs: HTMLDialogElement[]): void {
    const help = h("button", { type: "button", class: "button button--quiet button--small", "aria-keyshortcuts": "?", onclick: () => this.#actions.help() }, "Shortcuts");
    const heading = this.#root.querySelector("h1");
    const bar = h("div", { class: "desk__bar" });
    heading?.replaceWith(bar);
    bar.append(heading ?? "", this.#state, help);
    const noteForm = h(
      "form",
      { class: "desk__noteform" },
      h("div", { class: "field" }, h("label", { for: "desk-note" }, "Note for colleagues"), this.#note),
      h("button", { type: "submit", class: "button button--quiet button--small" }, "Add note"),
    );
    const addNote = (event: Event): void => {
      event.preventDefault();
      this.#actions.addNote(this.#note.value.trim());
    };
    noteForm.addEventListener("submit", addNote);
    this.#note.addEventListener("input", () => {
      const thread = this.#desk.open;
      if (thread) thread.note = this.#note.value;
    });
    this.#note.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) addNote(event);
    });
    this.#scroll.append(this.#log, this.#pending, this.#typing);
    this.#thread.append(this.#empty, this.#head, this.#scroll, this.#foot, this.#composer.form);
    this.#side.append(
      this.#about,
      h("section", { class: "desk__colleagues", "aria-labelledby": "desk-notes" }, h("h2", { id: "desk-notes" }, "Notes"), h("p", { class: "desk__fine" }, "Customers never see these."), this.#notes, noteForm),
    );
    const list = (id: string, title: string, count: HTMLElement, items: HTMLElement, none: HTMLElement): HTMLElement =>
      h("section", { "aria-labelledby": id }, h("h2", { id }, title, " ", count), none, items);
    this.#root.append(
      this.#problem,
      h(
        "div",
        { class: "desk__columns" },
        h(
          "div",
          { class: "desk__lists" },
          settings,
          list("desk-queue", "Queue", this.#waitingCount, this.#waiting, this.#waitingNone),
          list("desk-own", "Your chats", this.#ownCount, this.#own, this.#ownNone),
          h("details", {}, h("summary", {}, "Colleagues"), this.#colleagues),
        ),
        this.#thread,
        this.#side,
      ),
      ...dialogs,
    );
    this.show();
  }

  /** Shows whether there is a connection. */
  connected(on: boolean): void {
    setText(this.#state, on ? "Connected" : "No connection. Reconnecting…");
    this.#state.classList.toggle("desk__state--off", !on);
  }

  /** Shows an error above the desk; an empty text removes it. */
  problem(text: string): void {
    setText(this.#problem, text);
  }

  /** Moves the focus into the open conversation. */
  focus(): void {
    if (this.#composer.form.hidden) this.#thread.focus();
    else this.#composer.box.focus();
    this.#thread.scrollIntoView({ block: "nearest" });
  }

  focusNote(): void {
    this.#note.focus();
  }

  clearNote(): void {
    this.#note.value = "";
  }

  /** Shows the whole desk anew. */
  show(): void {
    const thread = this.#desk.open;
    this.#empty.hidden = thread !== undefined;
    for (const part of [this.#head, this.#scroll, this.#side]) part.hidden = thread === undefined;
    this.#root.classList.toggle("desk--open", thread !== undefined);
    this.#log.setAttribute("aria-live", "off");
    this.#log.replaceChildren();
    if (thread) {
      this.#composer.name = thread.conversation.customer_name === GUEST ? "" : thread.conversation.customer_name;
      this.#composer.text = thread.draft;
      this.#note.value = thread.note;
      this.showHead(thread);
      this.append(thread, thread.messages);
      this.showPending(thread);
      this.showContext(thread);
      this.showNotes(thread);
      this.toEnd();
      this.#actions.shown();
      setTimeout(() => this.#log.setAttribute("aria-live", "polite"), 400);
    } else {
      this.#composer.form.hidden = true;
      this.#foot.hidden = true;
    }
    this.showTyping();
    this.showLists();
  }

  showLists(): void {
    const now = Date.now();
    const focused = (document.activeElement as HTMLElement | null)?.dataset["key"];
    this.#waiting.replaceChildren(
      ...this.#desk.queue.waiting.map((one, place) =>
        h(
          "li",
          { class: "desk__item" },
          h("button", { type: "button", class: "desk__pick", "data-key": `look ${one.id}`, "aria-current": one.id === this.#desk.current ? "true" : undefined, onclick: () => this.#actions.look(one.id) }, ...this.#lines(one, minutes(now - Date.parse(one.waiting_since ?? one.started_at)))),
          h("button", { type: "button", class: "button button--small desk__accept", "data-key": `accept ${one.id}`, "aria-label": `Accept ${one.customer_name}`, "aria-keyshortcuts": place === 0 ? "A" : undefined, onclick: () => this.#actions.accept(one.id) }, "Accept"),
        ),
      ),
    );
    const own = [...this.#desk.mine].map((id) => this.#desk.threads.get(id)).filter((thread): thread is Thread => thread !== undefined);
    this.#own.replaceChildren(
      ...own.map((thread) => {
        const { conversation } = thread;
        const unread = this.#desk.unread(thread);
        return h(
          "li",
          { class: "desk__item" },
          h(
            "button",
            { type: "button", class: "desk__pick", "data-key": `own ${conversation.id}`, "aria-current": conversation.id === this.#desk.current ? "true" : undefined, onclick: () => this.#actions.go(conversation.id) },
            ...this.#lines({ ...conversation, preview: thread.messages.at(-1)?.text ?? "" }, ""),
            unread > 0 && h("span", { class: "desk__unread" }, `${unread}`, h("span", { class: "hidden" }, " unread")),
          ),
        );
      }),
    );
    this.#waitingNone.hidden = this.#desk.queue.waiting.length > 0;
    this.#ownNone.hidden = own.length > 0;
    setText(this.#waitingCount, `${this.#desk.queue.waiting.length}`);
    setText(this.#ownCount, `${own.length}`);
    this.#colleagues.replaceChildren(
      ...this.#desk.queue.agents.map(({ agent, status, open, capacity }) => h("li", {}, `${agent.name}${agent.id === this.#desk.me ? " (you)" : ""}: ${status}, ${open} of ${capacity}`)),
    );
    if (focused) this.#root.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    const unread = own.reduce((sum, thread) => sum + this.#desk.unread(thread), 0);
    document.title = unread > 0 ? `(${unread}) ${this.#title}` : this.#title;
  }

  #lines(conversation: Conversation, right: string): HTMLElement[] {
    return [
      h("span", { class: "desk__name" }, conversation.customer_name, right !== "" && h("span", { class: "desk__since" }, right)),
      h("span", { class: "desk__preview" }, conversation.preview ?? ""),
      h("span", { class: "desk__tags" }, conversation.intent !== undefined && h("span", { class: "desk__tag" }, intent(conversation.intent)), conversation.language !== "en" && h("span", { class: "desk__tag" }, conversation.language)),
    ];
  }

  showHead(thread: Thread): void {
    const { conversation, customerOnline } = thread;
    const { status, agent } = conversation;
    const mine = status === "with_agent" && agent?.id === this.#desk.me;
    const over = status === "resolved" || status === "closed";
    const button = (text: string, run: () => void, more = ""): HTMLElement => h("button", { type: "button", class: `button button--small ${more}`, onclick: run }, text);
    const facts = [
      customerOnline === undefined ? undefined : customerOnline ? "online" : "offline",
      conversation.customer_id === undefined ? "guest" : "customer",
      LANGUAGES.find(([code]) => code === conversation.language)?.[1] ?? conversation.language,
      conversation.intent && intent(conversation.intent),
      REASONS[thread.context.hand_over_reason ?? ""],
      agent && !mine && status === "with_agent" ? `with ${agent.name}` : undefined,
      conversation.rating && `rated ${conversation.rating} of 5`,
    ];
    this.#head.replaceChildren(
      h("button", { type: "button", class: "link desk__back", onclick: () => this.#actions.go(undefined) }, "← All conversations"),
      h("h2", { class: "desk__customer" }, conversation.customer_name, " ", h("span", { class: `badge badge--${status}` }, STATUS[status])),
      h("p", { class: "desk__facts" }, facts.filter(Boolean).join(" · ")),
      h(
        "div",
        { class: "desk__acts" },
        status === "queued" && button("Accept", () => this.#actions.accept(conversation.id)),
        mine && button("Resolve", () => this.#actions.end("resolved")),
        mine && button("Transfer", () => this.#actions.askTransfer(), "button--quiet"),
        mine && button("Close", () => this.#actions.end("closed"), "button--quiet"),
        over && button("Reopen", () => this.#actions.reopen()),
      ),
    );
    this.#composer.form.hidden = !mine;
    setText(this.#foot, mine ? "" : over ? "This chat has ended. Reopen it to reply." : "You’re viewing. Accept to reply.");
  }

  append(thread: Thread, messages: Message[]): void {
    const atEnd = this.#isAtEnd();
    this.#log.append(
      ...messages.map((message) =>
        message.author === "system"
          ? h("p", { class: "msg msg--system" }, message.text, " ", time(message.at))
          : h(
              "div",
              { class: `msg msg--${message.author} msg--${message.author === "customer" ? "in" : "out"}`, "data-seq": `${message.seq}` },
              h("p", { class: "msg__name" }, message.name, message.author === "bot" && !/\bbot\b/i.test(message.name) && h("span", { class: "msg__tag" }, "Bot")),
              ...words(message.text, message.links ?? [], undefined, (line) => this.#numbered(line)),
              h("p", { class: "msg__foot" }, time(message.at), message.author === "agent" && h("span", { class: "msg__state" })),
            ),
      ),
    );
    this.mark(thread);
    this.showPending(thread);
    if (atEnd) this.toEnd();
  }

  /** Shows how far the customer has read. */
  mark({ conversation }: Thread): void {
    const { delivered, read } = conversation.customer_read;
    for (const one of this.#log.querySelectorAll<HTMLElement>(".msg--agent")) {
      const seq = Number(one.dataset["seq"]);
      const state = one.querySelector<HTMLElement>(".msg__state");
      if (state) setText(state, seq <= read ? "Read" : seq <= delivered ? "Delivered" : "Sent");
    }
  }

  showPending(thread: Thread): void {
    if (thread !== this.#desk.open) return;
    this.#pending.hidden = thread.outgoing.length === 0;
    this.#pending.replaceChildren(
      ...thread.outgoing.map((one) => {
        const edit = (): void => {
          thread.outgoing = thread.outgoing.filter((other) => other !== one);
          this.#composer.text = thread.draft = one.text;
          this.showPending(thread);
          this.#composer.box.focus();
        };
        const again = one.why !== undefined && h("button", { type: "button", class: "link", onclick: edit }, "Edit");
        return h("div", { class: "msg msg--agent msg--out msg--waiting" }, h("p", { class: "msg__text" }, one.text), h("p", { class: "msg__foot" }, one.why === undefined ? "Sending…" : `Not sent: ${one.why} `, again));
      }),
    );
  }

  showTyping(): void {
    const atEnd = this.#isAtEnd();
    setText(this.#typing, this.#desk.open?.typing ?? "");
    if (atEnd) this.toEnd();
  }

  #isAtEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    return scrollHeight - scrollTop - clientHeight < 60;
  }

  showNotes({ notes }: Thread): void {
    this.#notes.replaceChildren(...notes.map(({ agent, text, at }) => h("li", {}, h("p", { class: "desk__notehead" }, `${agent.name} `, time(at)), h("p", {}, text))));
  }

  /** A line of a message, with links from order numbers where the agent may open orders. */
  #numbered(line: string): (Node | string)[] {
    const base = this.#root.dataset["orders"];
    if (base === undefined) return [line];
    const parts: (Node | string)[] = [];
    let end = 0;
    for (const found of line.matchAll(ORDER_NUMBER)) {
      parts.push(line.slice(end, found.index), numberLink(base, canonical(found), found[0]));
      end = found.index + found[0].length;
    }
    return [...parts, line.slice(end)];
  }

  showContext({ context, messages }: Thread): void {
    const { orders, basket, unavailable } = context;
    const base = this.#root.dataset["orders"];
    const own = new Set(orders.map(({ number }) => number));
    const named = new Set(messages.filter(({ author }) => author !== "system").flatMap(({ text }) => [...text.matchAll(ORDER_NUMBER)].map(canonical)));
    const mentioned = [...named].filter((number) => !own.has(number));
    this.#about.replaceChildren(
      ...(mentioned.length > 0
        ? [h("section", { "aria-labelledby": "desk-mentioned" }, h("h2", { id: "desk-mentioned" }, "Mentioned orders"), h("ul", { class: "plain" }, ...mentioned.map((number) => h("li", {}, base === undefined ? number : numberLink(base, number, number)))), h("p", { class: "desk__fine" }, "Check who’s asking before you share details."))]
        : []),
      h("section", { "aria-labelledby": "desk-orders" }, h("h2", { id: "desk-orders" }, "Orders"), orders.length === 0 ? h("p", { class: "quiet" }, missing("orders") ?? "None.") : h("ul", { class: "desk__orders" }, ...orders.map((one) => order(one, this.#root.dataset["orders"])))),
      h(
        "section",
        { "aria-labelledby": "desk-basket" },
        h("h2", { id: "desk-basket" }, "Basket"),
        basket.length === 0 ? h("p", { class: "quiet" }, missing("basket") ?? "Empty.") : h("ul", { class: "plain" }, ...basket.map(({ title, quantity }) => h("li", {}, `${quantity} × ${title}`))),
      ),
    );
    function missing(what: string): string | undefined {
      return unavailable?.includes(what) ? "Unavailable right now." : undefined;
    }
  }

  toEnd(): void {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }
}

/** An order in brief; a link where the agent may open it. */
function order({ id, number, status, total, titles, placed_at }: Context["orders"][number], base: string | undefined): HTMLElement {
  const amount = new Intl.NumberFormat("en", { style: "currency", currency: total.currency });
  const digits = amount.resolvedOptions().maximumFractionDigits ?? 2;
  return h(
    "li",
    {},
    h("p", {}, base ? h("a", { href: base + encodeURIComponent(id), target: "_blank" }, number, h("span", { class: "hidden" }, " (in a new tab)")) : number, " ", h("span", { class: `badge badge--${status}` }, capitalised(status))),
    h("p", { class: "desk__fine" }, `${amount.format(total.amount / 10 ** digits)} · `, time(placed_at)),
    h("p", { class: "desk__fine" }, titles.join(", ")),
  );
}

/** The number of an order as the shop writes it. */
function canonical([, first, second]: RegExpMatchArray): string {
  const symbols = `${first}${second}`.toUpperCase().replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  return `BW-${symbols.slice(0, 4)}-${symbols.slice(4)}`;
}

/** A link that looks an order up in the office. */
function numberLink(base: string, number: string, text: string): HTMLElement {
  return h("a", { href: `${base.replace(/\/$/, "")}?q=${encodeURIComponent(number)}`, target: "_blank" }, text, h("span", { class: "hidden" }, " (in a new tab)"));
}

function intent(name: string): string {
  return INTENTS[name] ?? capitalised(name.replaceAll("_", " "));
}

/** A waiting time, in words. */
function minutes(ms: number): string {
  const whole = Math.max(0, Math.floor(ms / 60_000));
  return whole === 0 ? "just now" : whole < 60 ? `${whole} min` : `${Math.floor(whole / 60)} h ${whole % 60} min`;
}
