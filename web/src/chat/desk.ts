// The support desk: the queue, one's conversations, the one that is open, and what is known of the customer.
import { announce } from "../page";
import { Composer, type Reply } from "./composer";
import { h, rest, say, time, words } from "./dom";
import { HubError, Link } from "./link";
import { GUEST, type Availability, type Context, type Conversation, type Message, type Note, type Opened, type Page, type Presence, type QueueState, type Receipt, type Typing } from "./model";

const SKILLS = ["orders", "payment", "books", "account", "general"] as const;
const LANGUAGES: readonly (readonly [string, string])[] = [["en", "English"], ["de", "German"], ["fr", "French"], ["es", "Spanish"], ["it", "Italian"], ["pt", "Portuguese"], ["nl", "Dutch"], ["pl", "Polish"]];
const AVAILABILITIES: readonly (readonly [Availability, string])[] = [["available", "Available"], ["away", "Away"], ["offline", "Offline"]];
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
/** How often waiting times are written anew, in ms. */
const MINUTE = 20_000;
const TYPING = 3_000;
const TYPING_ENDS = 7_000;

/** How this agent works, as it was set last on this computer. */
interface Settings {
  status: Availability;
  capacity: number;
  skills: string[];
  languages: string[];
  /** Whether single keys are shortcuts. */
  keys: boolean;
}

/** What is known of a conversation that is attached. */
interface Thread {
  conversation: Conversation;
  messages: Message[];
  notes: Note[];
  context: Context;
  customerOnline: boolean | undefined;
  typing: string;
  draft: string;
  note: string;
  /** Own messages that are not acknowledged. */
  outgoing: { id: string; text: string; why?: string }[];
}

/** Fills the page. */
export function start(root: HTMLElement): void {
  new Desk(root).begin();
}

class Desk {
  readonly #root: HTMLElement;
  readonly #title = document.title;
  readonly #link: Link;
  readonly #settings: Settings;
  #me = "";
  #queue: QueueState = { waiting: [], agents: [] };
  readonly #threads = new Map<string, Thread>();
  #mine = new Set<string>();
  #current: string | undefined;
  readonly #flushing = new Set<string>();
  #toldTyping = 0;
  readonly #stopTyping = rest(TYPING, () => this.#tellTyping(false));
  readonly #typingEnds = new Map<string, number>();

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
  readonly #composer: Composer;
  readonly #help: HTMLDialogElement;
  readonly #transfer = h("dialog", { class: "desk__dialog", "aria-labelledby": "transfer-title" });

  constructor(root: HTMLElement) {
    this.#root = root;
    this.#settings = { status: "away", capacity: 3, skills: [...SKILLS], languages: ["en"], keys: true, ...remembered() };
    this.#composer = new Composer(
      (text) => this.#send(text),
      (text) => this.#typed(text),
    );
    this.#help = this.#makeHelp();
    this.#link = new Link(
      "/hubs/chat",
      (on) => {
        say(this.#state, on ? "Connected" : "No connection. Reconnecting…");
        this.#state.classList.toggle("desk__state--off", !on);
        if (on) for (const id of this.#threads.keys()) void this.#flush(id);
      },
      () => this.#attach(),
    );
  }

  begin(): void {
    this.#build();
    this.#listen();
    this.#link.start();
    setInterval(() => this.#showLists(), MINUTE);
  }

  #build(): void {
    const help = h("button", { type: "button", class: "button button--quiet button--small", "aria-keyshortcuts": "?", onclick: () => this.#help.showModal() }, "Shortcuts");
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
    noteForm.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#addNote();
    });
    this.#note.addEventListener("input", () => {
      const thread = this.#open;
      if (thread) thread.note = this.#note.value;
    });
    this.#note.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#addNote();
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
          this.#makeSettings(),
          list("desk-queue", "Queue", this.#waitingCount, this.#waiting, this.#waitingNone),
          list("desk-own", "Your chats", this.#ownCount, this.#own, this.#ownNone),
          h("details", {}, h("summary", {}, "Colleagues"), this.#colleagues),
        ),
        this.#thread,
        this.#side,
      ),
      this.#help,
      this.#transfer,
    );
    this.#show();
  }

  // How this agent works

  #makeSettings(): HTMLElement {
    const settings = this.#settings;
    const change = (): void => {
      remember(settings);
      void this.#attempt(() => this.#tellAvailability());
    };
    const status = h("select", { id: "desk-status" }, ...AVAILABILITIES.map(([value, text]) => h("option", { value, selected: value === settings.status }, text)));
    status.addEventListener("change", () => {
      settings.status = status.value as Availability;
      change();
    });
    const capacity = h("input", { id: "desk-capacity", type: "number", min: "1", max: "20", value: `${settings.capacity}` });
    capacity.addEventListener("change", () => {
      if (!capacity.checkValidity() || Number.isNaN(capacity.valueAsNumber)) return capacity.reportValidity();
      settings.capacity = Math.round(capacity.valueAsNumber);
      return change();
    });
    const ticks = (name: "skills" | "languages", legend: string, all: readonly (readonly [string, string])[]): HTMLElement => {
      const set = h(
        "fieldset",
        { class: "desk__ticks" },
        h("legend", {}, legend),
        ...all.map(([value, text]) => h("label", {}, h("input", { type: "checkbox", value, checked: settings[name].includes(value) }), ` ${text}`)),
      );
      set.addEventListener("change", () => {
        const chosen = [...set.querySelectorAll<HTMLInputElement>("input:checked")].map(({ value }) => value);
        // Nobody can do nothing: the last tick stays.
        if (chosen.length === 0) for (const box of set.querySelectorAll("input")) box.checked = settings[name].includes(box.value);
        else {
          settings[name] = chosen;
          change();
        }
      });
      return set;
    };
    return h(
      "section",
      { class: "desk__me", "aria-label": "Your availability" },
      h("div", { class: "field" }, h("label", { for: "desk-status" }, "Status"), status),
      h("div", { class: "field" }, h("label", { for: "desk-capacity" }, "Max chats"), capacity),
      h(
        "details",
        {},
        h("summary", {}, "Skills and languages"),
        ticks("skills", "Skills", SKILLS.map((skill) => [skill, capitalised(skill)] as const)),
        ticks("languages", "Languages", LANGUAGES),
      ),
    );
  }

  async #tellAvailability(): Promise<void> {
    const { status, capacity, skills, languages } = this.#settings;
    await this.#link.invoke("SetAvailability", { status, capacity, skills, languages });
    this.#queue = await this.#link.invoke<QueueState>("Queue");
    this.#showLists();
  }

  // The hub

  async #attach(): Promise<void> {
    const session = await this.#link.session();
    if (!session.agent || !session.account) {
      // Signed out meanwhile: the page says where to go.
      location.reload();
      return;
    }
    this.#me = session.account;
    await this.#tellAvailability();
    const own = await this.#link.invoke<Conversation[]>("MyConversations");
    this.#mine = new Set(own.map(({ id }) => id));
    for (const { id } of own) await this.#attachTo(id);
    for (const id of this.#threads.keys()) {
      if (this.#mine.has(id)) continue;
      if (id === this.#current) await this.#attachTo(id);
      else this.#threads.delete(id);
    }
    this.#composer.replies = await this.#link.invoke<Reply[]>("CannedReplies").catch(() => []);
    this.#show();
  }

  /** Opens a conversation, or fetches what was missed of it. One that is gone is forgotten. */
  async #attachTo(id: string): Promise<void> {
    const after = this.#threads.get(id)?.messages.at(-1)?.seq ?? 0;
    try {
      await this.#opened(await this.#link.invoke<Opened>("Open", { conversation_id: id, after }));
    } catch (error) {
      if (!(error instanceof HubError) || error.code !== "not_found") throw error;
      this.#gone(id);
    }
  }

  async #opened({ conversation, messages, more, notes, context }: Opened): Promise<void> {
    const id = conversation.id;
    const known = this.#threads.get(id);
    const thread: Thread = known ?? { conversation, messages: [], notes, context, customerOnline: undefined, typing: "", draft: "", note: "", outgoing: [] };
    Object.assign(thread, { conversation, notes, context });
    this.#threads.set(id, thread);
    if (conversation.agent?.id === this.#me && conversation.status === "with_agent") this.#mine.add(id);
    this.#take(thread, messages, true);
    for (let next: number | null = more ? (thread.messages.at(-1)?.seq ?? 0) : null; next !== null; ) {
      const page: Page = await this.#link.invoke<Page>("History", { conversation_id: id, after: next, limit: 200 });
      this.#take(thread, page.items, true);
      next = page.items.length > 0 ? page.next : null;
    }
  }

  #listen(): void {
    const on = <T extends { conversation_id: string }>(event: string, heard: (argument: T, thread: Thread) => void): void =>
      this.#link.on<T>(event, (argument) => {
        const thread = this.#threads.get(argument.conversation_id);
        if (thread) heard(argument, thread);
      });
    on<Message>("message", (message, thread) => {
      const last = thread.messages.at(-1)?.seq ?? 0;
      if (message.seq > last + 1) void this.#attempt(() => this.#attachTo(message.conversation_id).then(() => this.#show()));
      else this.#take(thread, [message]);
    });
    this.#link.on<Conversation>("status", (conversation) => this.#changed(conversation));
    on<Receipt>("receipt", ({ side, delivered, read }, thread) => {
      if (side !== "customer") return;
      const known = thread.conversation.customer_read;
      thread.conversation.customer_read = { delivered: Math.max(known.delivered, delivered), read: Math.max(known.read, read) };
      if (thread === this.#open) this.#mark(thread);
    });
    on<Typing>("typing", ({ conversation_id, author, name, typing }, thread) => {
      if (author !== "customer") return;
      clearTimeout(this.#typingEnds.get(conversation_id));
      const end = (): void => {
        thread.typing = "";
        this.#showTyping();
      };
      thread.typing = typing ? `${name} is typing…` : "";
      if (typing) this.#typingEnds.set(conversation_id, setTimeout(end, TYPING_ENDS));
      this.#showTyping();
    });
    on<Presence>("presence", ({ customer_online }, thread) => {
      thread.customerOnline = customer_online;
      if (thread === this.#open) this.#showHead(thread);
    });
    on<Note>("note", (note, thread) => {
      if (thread.notes.some(({ at, text }) => at === note.at && text === note.text)) return;
      thread.notes.push(note);
      if (thread === this.#open) this.#showNotes(thread);
    });
    on<{ conversation_id: string }>("deleted", ({ conversation_id }) => {
      this.#gone(conversation_id);
      announce("The customer deleted a conversation.");
      this.#show();
    });
    this.#link.on<QueueState>("queue", (queue) => {
      if (queue.waiting.length > this.#queue.waiting.length) announce(`${queue.waiting.length} in the queue.`);
      this.#queue = queue;
      this.#showLists();
    });
    this.#link.on<Conversation>("assigned", (conversation) => {
      this.#mine.add(conversation.id);
      announce(`New chat with ${conversation.customer_name}.`);
      void this.#attempt(async () => {
        await this.#attachTo(conversation.id);
        this.#current ??= conversation.id;
        this.#show();
      });
    });
    document.addEventListener("visibilitychange", () => this.#readCurrent());
    document.addEventListener("keydown", (event) => this.#key(event));
  }

  #changed(conversation: Conversation): void {
    const { id } = conversation;
    const thread = this.#threads.get(id);
    const mine = conversation.agent?.id === this.#me && conversation.status === "with_agent";
    if (thread) {
      if (conversation.version < thread.conversation.version) return;
      thread.conversation = conversation;
    }
    if (mine) this.#mine.add(id);
    else this.#mine.delete(id);
    if (thread && !mine && id !== this.#current) this.#threads.delete(id);
    if (id === this.#current && thread) this.#showHead(thread);
    this.#showLists();
  }

  #gone(id: string): void {
    this.#threads.delete(id);
    this.#mine.delete(id);
    if (this.#current === id) this.#current = undefined;
  }

  /** Takes messages in, each once. */
  #take(thread: Thread, messages: Message[], past = false): void {
    const fresh = messages.filter(({ seq }) => seq > (thread.messages.at(-1)?.seq ?? 0));
    if (fresh.length === 0) return;
    thread.messages.push(...fresh);
    const ids = new Set(fresh.map((message) => message.client_message_id));
    thread.outgoing = thread.outgoing.filter(({ id }) => !ids.has(id));
    if (fresh.some(({ author }) => author === "customer")) thread.typing = "";
    const last = fresh.at(-1) as Message;
    thread.conversation.last_seq = Math.max(thread.conversation.last_seq, last.seq);
    if (thread === this.#open) {
      this.#append(thread, fresh);
      this.#showTyping();
      this.#showContext(thread);
    }
    if (!past && last.author === "customer" && thread !== this.#open) announce(`${last.name}: ${last.text}`);
    this.#readCurrent();
    if (thread !== this.#open) this.#tell("MarkDelivered", { conversation_id: last.conversation_id, seq: last.seq });
    this.#showLists();
  }

  #tell(method: string, argument: object): void {
    this.#link.invoke(method, argument).catch(() => undefined);
  }

  /** The open conversation has been seen. */
  #readCurrent(): void {
    const thread = this.#open;
    const last = thread?.messages.at(-1)?.seq ?? 0;
    if (!thread || document.hidden || last <= thread.conversation.agent_read.read) return;
    thread.conversation.agent_read = { delivered: last, read: last };
    if (this.#mine.has(thread.conversation.id)) this.#tell("MarkRead", { conversation_id: thread.conversation.id, seq: last });
    this.#showLists();
  }

  #unread(thread: Thread): number {
    return thread.messages.filter(({ author, seq }) => author === "customer" && seq > thread.conversation.agent_read.read).length;
  }

  get #open(): Thread | undefined {
    return this.#current === undefined ? undefined : this.#threads.get(this.#current);
  }

  /** Does something that may fail, and says so when it does. */
  async #attempt(act: () => Promise<void>): Promise<void> {
    say(this.#problem, "");
    try {
      await act();
    } catch (error) {
      say(this.#problem, (error as Error).message);
    }
  }

  // What the agent does

  async #accept(id: string): Promise<void> {
    await this.#attempt(async () => {
      await this.#opened(await this.#link.invoke<Opened>("Accept", { conversation_id: id }));
      this.#go(id);
    });
  }

  async #look(id: string): Promise<void> {
    await this.#attempt(async () => {
      if (!this.#threads.has(id)) await this.#attachTo(id);
      this.#go(id);
    });
  }

  /** Shows a conversation. */
  #go(id: string | undefined): void {
    const left = this.#current;
    this.#current = id;
    if (left !== undefined && left !== id && !this.#mine.has(left)) this.#threads.delete(left);
    this.#show();
    if (id === undefined) return;
    if (this.#composer.form.hidden) this.#thread.focus();
    else this.#composer.box.focus();
    this.#thread.scrollIntoView({ block: "nearest" });
  }

  #send(text: string): void {
    const thread = this.#open;
    if (!thread) return;
    thread.outgoing.push({ id: crypto.randomUUID(), text });
    thread.draft = "";
    this.#toldTyping = 0;
    this.#showPending(thread);
    this.#toEnd();
    void this.#flush(thread.conversation.id);
  }

  /** Sends what waits in a conversation, in order; what is refused is shown with the reason. */
  async #flush(id: string): Promise<void> {
    const thread = this.#threads.get(id);
    if (!thread || this.#flushing.has(id)) return;
    this.#flushing.add(id);
    const sent = new Set<string>();
    try {
      for (let next = thread.outgoing[0]; next && this.#link.up; ) {
        try {
          await this.#link.invoke("SendMessage", { conversation_id: id, client_message_id: next.id, text: next.text });
        } catch (error) {
          if ((error as HubError).code === "offline") return;
          next.why = (error as Error).message;
        }
        sent.add(next.id);
        if (thread === this.#open) this.#showPending(thread);
        next = thread.outgoing.find((one) => !sent.has(one.id) && one.why === undefined);
      }
    } finally {
      this.#flushing.delete(id);
    }
  }

  #typed(text: string): void {
    const thread = this.#open;
    if (thread) thread.draft = text;
    if (text.trim() === "" || text.startsWith("/")) return;
    if (performance.now() - this.#toldTyping > TYPING) this.#tellTyping(true);
    this.#stopTyping();
  }

  #tellTyping(typing: boolean): void {
    if (!this.#current || (!typing && this.#toldTyping === 0)) return;
    this.#toldTyping = typing ? performance.now() : 0;
    this.#tell("Typing", { conversation_id: this.#current, typing });
  }

  #addNote(): void {
    const [thread, text] = [this.#open, this.#note.value.trim()];
    if (!thread || text === "") return;
    void this.#attempt(async () => {
      const note = await this.#link.invoke<Note>("AddNote", { conversation_id: thread.conversation.id, text });
      if (!thread.notes.some(({ at }) => at === note.at)) thread.notes.push(note);
      thread.note = this.#note.value = "";
      this.#showNotes(thread);
      announce("Note added.");
    });
  }

  async #end(resolution: "resolved" | "closed"): Promise<void> {
    const id = this.#current;
    await this.#attempt(async () => {
      this.#changed(await this.#link.invoke<Conversation>("Close", { conversation_id: id, resolution }));
      announce(resolution === "resolved" ? "Resolved." : "Closed.");
      this.#show();
    });
  }

  async #reopen(): Promise<void> {
    await this.#attempt(async () => {
      const opened = await this.#link.invoke<Opened>("Reopen", { conversation_id: this.#current });
      await this.#opened(opened);
      this.#go(opened.conversation.id);
    });
  }

  #askTransfer(): void {
    const { conversation } = this.#open ?? {};
    if (!conversation) return;
    const free = this.#queue.agents.filter(({ agent, status, open, capacity }) => agent.id !== this.#me && status === "available" && open < capacity);
    const to = h(
      "select",
      { id: "desk-to" },
      ...free.map(({ agent, open, capacity }) => h("option", { value: `agent ${agent.id}` }, `${agent.name} (${open} of ${capacity})`)),
      ...SKILLS.map((skill) => h("option", { value: `skill ${skill}` }, `Queue: ${skill}`)),
    );
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", { id: "transfer-title" }, `Transfer ${conversation.customer_name}`),
      h("p", { class: "desk__fine" }, "To a colleague who’s free, or back to the queue for someone with the right skill."),
      h("div", { class: "field" }, h("label", { for: "desk-to" }, "To"), to),
      h(
        "p",
        { class: "desk__row" },
        h("button", { type: "submit", class: "button button--small", value: "pass" }, "Transfer"),
        h("button", { type: "submit", class: "button button--quiet button--small", value: "" }, "Cancel"),
      ),
    );
    this.#transfer.replaceChildren(form);
    this.#transfer.onclose = () => {
      const [kind, value] = to.value.split(" ");
      if (this.#transfer.returnValue !== "pass" || !kind || !value) return;
      void this.#attempt(async () => {
        const target = kind === "agent" ? { agent_id: value } : { skill: value };
        this.#changed(await this.#link.invoke<Conversation>("Transfer", { conversation_id: conversation.id, ...target }));
        announce("Transferred.");
        this.#go(undefined);
      });
    };
    this.#transfer.returnValue = "";
    this.#transfer.showModal();
  }

  // Shortcuts

  #makeHelp(): HTMLDialogElement {
    const rows: [string, string][] = [
      ["?", "Show this list"],
      ["A", "Accept the next chat"],
      ["J / K", "Next, previous chat"],
      ["R", "Reply"],
      ["N", "Add a note"],
      ["T", "Transfer"],
      ["Alt + Shift + R", "Resolve"],
      ["/", "Saved replies, in the empty reply box"],
      ["Escape", "Leave a box or a list"],
    ];
    const keys = h("input", { type: "checkbox", checked: this.#settings.keys });
    keys.addEventListener("change", () => {
      this.#settings.keys = keys.checked;
      remember(this.#settings);
    });
    return h(
      "dialog",
      { class: "desk__dialog", "aria-labelledby": "help-title" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "help-title" }, "Shortcuts"),
        h("dl", { class: "desk__keys" }, ...rows.flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])),
        h("p", {}, h("label", { class: "tick" }, keys, " Single-key shortcuts")),
        h("p", {}, h("button", { type: "submit", class: "button button--small" }, "Close")),
      ),
    );
  }

  #key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.isComposing || event.ctrlKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.altKey && event.shiftKey && event.code === "KeyR") {
      event.preventDefault();
      if (this.#open?.conversation.status === "with_agent") void this.#end("resolved");
      return;
    }
    if (event.altKey) return;
    const typing = target.matches("input, textarea, select");
    if (event.key === "Escape" && typing) return target.blur();
    if (typing || !this.#settings.keys) return;
    const acts: Record<string, () => void> = {
      "?": () => this.#help.showModal(),
      a: () => {
        const [first] = this.#queue.waiting;
        if (first) void this.#accept(first.id);
      },
      j: () => this.#step(1),
      k: () => this.#step(-1),
      r: () => this.#composer.box.focus(),
      n: () => this.#note.focus(),
      t: () => {
        if (this.#open?.conversation.status === "with_agent") this.#askTransfer();
      },
    };
    const act = acts[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  }

  #step(by: number): void {
    const all = [...this.#mine];
    if (all.length === 0) return;
    const place = all.indexOf(this.#current ?? "");
    this.#go(all[place < 0 ? 0 : (place + by + all.length) % all.length]);
  }

  // What is shown

  #show(): void {
    const thread = this.#open;
    this.#empty.hidden = thread !== undefined;
    for (const part of [this.#head, this.#scroll, this.#side]) part.hidden = thread === undefined;
    this.#root.classList.toggle("desk--open", thread !== undefined);
    this.#log.setAttribute("aria-live", "off");
    this.#log.replaceChildren();
    if (thread) {
      this.#composer.name = thread.conversation.customer_name === GUEST ? "" : thread.conversation.customer_name;
      this.#composer.text = thread.draft;
      this.#note.value = thread.note;
      this.#showHead(thread);
      this.#append(thread, thread.messages);
      this.#showPending(thread);
      this.#showContext(thread);
      this.#showNotes(thread);
      this.#toEnd();
      this.#readCurrent();
      setTimeout(() => this.#log.setAttribute("aria-live", "polite"), 400);
    } else {
      this.#composer.form.hidden = true;
      this.#foot.hidden = true;
    }
    this.#showTyping();
    this.#showLists();
  }

  #showLists(): void {
    const now = Date.now();
    const focused = (document.activeElement as HTMLElement | null)?.dataset["key"];
    this.#waiting.replaceChildren(
      ...this.#queue.waiting.map((one, place) =>
        h(
          "li",
          { class: "desk__item" },
          h("button", { type: "button", class: "desk__pick", "data-key": `look ${one.id}`, "aria-current": one.id === this.#current ? "true" : undefined, onclick: () => void this.#look(one.id) }, ...this.#lines(one, minutes(now - Date.parse(one.waiting_since ?? one.started_at)))),
          h("button", { type: "button", class: "button button--small desk__accept", "data-key": `accept ${one.id}`, "aria-label": `Accept ${one.customer_name}`, "aria-keyshortcuts": place === 0 ? "A" : undefined, onclick: () => void this.#accept(one.id) }, "Accept"),
        ),
      ),
    );
    const own = [...this.#mine].map((id) => this.#threads.get(id)).filter((thread): thread is Thread => thread !== undefined);
    this.#own.replaceChildren(
      ...own.map((thread) => {
        const { conversation } = thread;
        const unread = this.#unread(thread);
        return h(
          "li",
          { class: "desk__item" },
          h(
            "button",
            { type: "button", class: "desk__pick", "data-key": `own ${conversation.id}`, "aria-current": conversation.id === this.#current ? "true" : undefined, onclick: () => this.#go(conversation.id) },
            ...this.#lines({ ...conversation, preview: thread.messages.at(-1)?.text ?? "" }, ""),
            unread > 0 && h("span", { class: "desk__unread" }, `${unread}`, h("span", { class: "hidden" }, " unread")),
          ),
        );
      }),
    );
    this.#waitingNone.hidden = this.#queue.waiting.length > 0;
    this.#ownNone.hidden = own.length > 0;
    say(this.#waitingCount, `${this.#queue.waiting.length}`);
    say(this.#ownCount, `${own.length}`);
    this.#colleagues.replaceChildren(
      ...this.#queue.agents.map(({ agent, status, open, capacity }) => h("li", {}, `${agent.name}${agent.id === this.#me ? " (you)" : ""}: ${status}, ${open} of ${capacity}`)),
    );
    if (focused) this.#root.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    const unread = own.reduce((sum, thread) => sum + this.#unread(thread), 0);
    document.title = unread > 0 ? `(${unread}) ${this.#title}` : this.#title;
  }

  #lines(conversation: Conversation, right: string): HTMLElement[] {
    return [
      h("span", { class: "desk__name" }, conversation.customer_name, right !== "" && h("span", { class: "desk__since" }, right)),
      h("span", { class: "desk__preview" }, conversation.preview ?? ""),
      h("span", { class: "desk__tags" }, conversation.intent !== undefined && h("span", { class: "desk__tag" }, intent(conversation.intent)), conversation.language !== "en" && h("span", { class: "desk__tag" }, conversation.language)),
    ];
  }

  #showHead(thread: Thread): void {
    const { conversation, customerOnline } = thread;
    const { status, agent } = conversation;
    const mine = status === "with_agent" && agent?.id === this.#me;
    const over = status === "resolved" || status === "closed";
    const act = (text: string, run: () => void, more = ""): HTMLElement => h("button", { type: "button", class: `button button--small ${more}`, onclick: run }, text);
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
      h("button", { type: "button", class: "link desk__back", onclick: () => this.#go(undefined) }, "← All conversations"),
      h("h2", { class: "desk__customer" }, conversation.customer_name, " ", h("span", { class: `badge badge--${status}` }, STATUS[status])),
      h("p", { class: "desk__facts" }, facts.filter(Boolean).join(" · ")),
      h(
        "div",
        { class: "desk__acts" },
        status === "queued" && act("Accept", () => void this.#accept(conversation.id)),
        mine && act("Resolve", () => void this.#end("resolved")),
        mine && act("Transfer", () => this.#askTransfer(), "button--quiet"),
        mine && act("Close", () => void this.#end("closed"), "button--quiet"),
        over && act("Reopen", () => void this.#reopen()),
      ),
    );
    this.#composer.form.hidden = !mine;
    say(this.#foot, mine ? "" : over ? "This chat has ended. Reopen it to reply." : "You’re viewing. Accept to reply.");
  }

  #append(thread: Thread, messages: Message[]): void {
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
    this.#mark(thread);
    this.#showPending(thread);
    if (atEnd) this.#toEnd();
  }

  #mark({ conversation }: Thread): void {
    const { delivered, read } = conversation.customer_read;
    for (const one of this.#log.querySelectorAll<HTMLElement>(".msg--agent")) {
      const seq = Number(one.dataset["seq"]);
      const state = one.querySelector<HTMLElement>(".msg__state");
      if (state) say(state, seq <= read ? "Read" : seq <= delivered ? "Delivered" : "Sent");
    }
  }

  #showPending(thread: Thread): void {
    if (thread !== this.#open) return;
    this.#pending.hidden = thread.outgoing.length === 0;
    this.#pending.replaceChildren(
      ...thread.outgoing.map((one) => {
        const edit = (): void => {
          thread.outgoing = thread.outgoing.filter((other) => other !== one);
          this.#composer.text = thread.draft = one.text;
          this.#showPending(thread);
          this.#composer.box.focus();
        };
        const again = one.why !== undefined && h("button", { type: "button", class: "link", onclick: edit }, "Edit");
        return h("div", { class: "msg msg--agent msg--out msg--waiting" }, h("p", { class: "msg__text" }, one.text), h("p", { class: "msg__foot" }, one.why === undefined ? "Sending…" : `Not sent: ${one.why} `, again));
      }),
    );
  }

  #showTyping(): void {
    const atEnd = this.#isAtEnd();
    say(this.#typing, this.#open?.typing ?? "");
    if (atEnd) this.#toEnd();
  }

  #isAtEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    return scrollHeight - scrollTop - clientHeight < 60;
  }

  #showNotes({ notes }: Thread): void {
    this.#notes.replaceChildren(...notes.map(({ agent, text, at }) => h("li", {}, h("p", { class: "desk__notehead" }, `${agent.name} `, time(at)), h("p", {}, text))));
  }

  /** A line of the talk, in which numbers of orders lead to them where the agent may open orders. */
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

  #showContext({ context, messages }: Thread): void {
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

  #toEnd(): void {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }
}

/** An order in short; a link where the agent may open it. */
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

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** How long somebody waits. */
function minutes(ms: number): string {
  const whole = Math.max(0, Math.floor(ms / 60_000));
  return whole === 0 ? "just now" : whole < 60 ? `${whole} min` : `${Math.floor(whole / 60)} h ${whole % 60} min`;
}

const SETTINGS = "bw_desk";

function remembered(): Partial<Settings> {
  try {
    return JSON.parse(localStorage.getItem(SETTINGS) ?? "{}") as Partial<Settings>;
  } catch {
    return {};
  }
}

function remember(settings: Settings): void {
  try {
    localStorage.setItem(SETTINGS, JSON.stringify(settings));
  } catch {
    // Only for the next time.
  }
}
