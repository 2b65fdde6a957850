// The customer's side of the chat: follows the hub, stores the state, and updates the panel.
import type { ISubscription } from "@microsoft/signalr";
import { isShortcut } from "../islands/chat";
import { announce } from "../page";
import { rest } from "./dom";
import { HubError, Link } from "./link";
import type { Conversation, Message, Page, Person, Presence, QueuePosition, Receipt, Resumed, Typing } from "./model";
import { Panel, type Reached } from "./panel";
import { type Saved, type Outgoing, store } from "./store";

/** How many messages of a long conversation are fetched at first, and with each "Show earlier messages". */
const TAIL = 50;
/** "Typing" is sent at most this often, and ends after as long a pause, in ms. */
const TYPING = 3_000;
/** When the other side's "typing" ends by itself, in ms. */
const TYPING_ENDS = 7_000;
/** For so long the chat is expected back before other ways are named, in ms. */
const AWAY_AFTER = 8_000;
/** Below this width the panel covers the page. */
const NARROW = "(max-width: 40rem)";

/** Takes over the button of the page. */
export function start(button: HTMLAnchorElement, open: boolean): void {
  new Customer(button).begin(open);
}

class Customer {
  readonly #button: HTMLAnchorElement;
  readonly #count: HTMLElement | null;
  readonly #panel: Panel;
  readonly #link: Link;
  #conversation: Conversation | undefined;
  #messages: Message[] = [];
  /** The number after which messages were fetched, while there are none. */
  #after = 0;
  /** Own messages that are stored, while the event with them is still on its way. */
  readonly #acknowledged = new Set<string>();
  readonly #failed = new Map<string, { message: Outgoing; why: string }>();
  #flushing = false;
  #filling: Promise<void> | undefined;
  #wasOn = false;
  #away = false;
  #awayTimer = 0;
  #account: string | null = null;
  #agentOnline: boolean | undefined;
  #waiting: number | undefined;
  #answer: { id: string; stream: ISubscription<string> } | undefined;
  #typingEnds = 0;
  #typingSent = 0;
  #read = 0;
  /** The last message of the bot or of a person. */
  #answered = 0;
  readonly #stopTyping = rest(TYPING, () => this.#sendTyping(false));
  readonly #receipts = rest(150, () => void this.#sendReceipts());

  constructor(button: HTMLAnchorElement) {
    this.#button = button;
    this.#count = button.querySelector(".chat-button__count");
    this.#panel = new Panel(button.dataset["shop"] ?? "us", {
      close: () => this.#close(),
      send: (text) => this.#send(text),
      typed: (text) => this.#typed(text),
      askForPerson: () => void this.#askForPerson(),
      end: () => void this.#attempt(async () => this.#moved(await this.#ask<Conversation>("EndConversation"))),
      rate: async (score, comment) => this.#ask("Rate", { score, ...(comment && { comment }) }),
      transcript: async (email) => this.#ask("SendTranscript", email ? { email } : {}),
      leaveAddress: async (email) => this.#moved(await this.#ask<Conversation>("LeaveAddress", { email })),
      remove: async () => {
        await this.#ask("DeleteConversation");
        this.#forget();
        announce("Conversation deleted.");
      },
      anew: () => {
        this.#forget();
        this.#panel.focus();
      },
      earlier: () => void this.#attempt(() => this.#fetchEarlier()),
      discard: (id) => {
        const text = this.#failed.get(id)?.message.text ?? "";
        this.#failed.delete(id);
        this.#showPending();
        return text;
      },
      followed: () => {
        if (matchMedia(NARROW).matches) this.#show(false);
      },
    });
    this.#link = new Link(
      "/hubs/chat",
      (on) => {
        this.#wasOn ||= on;
        this.#watch(on);
        if (!on) this.#endAnswer();
        this.#update();
        if (!on) return;
        this.#receipts();
        void this.#flush();
      },
      () => this.#attach(),
    );
    this.#listen();
  }

  begin(open: boolean): void {
    this.#button.after(this.#panel.root);
    this.#button.setAttribute("aria-controls", this.#panel.root.id);
    this.#panel.text = store.text();
    const saved = store.saved();
    if (saved) this.#restore(saved);
    this.#showPending();
    this.#update();
    this.#watch(false);
    this.#link.start();
    if (open) this.#open();
    else if (store.isOpen() && !matchMedia(NARROW).matches) this.#show(true);
  }

  #listen(): void {
    this.#button.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      this.#open();
    });
    addEventListener("keydown", (event) => {
      if (!isShortcut(event)) return;
      event.preventDefault();
      if (this.#isOpen() && this.#panel.root.contains(document.activeElement)) this.#close();
      else this.#open();
    });
    // The focused element may be gone: Escape closes the panel all the same.
    document.addEventListener("keydown", ({ key, isComposing }) => {
      if (key === "Escape" && !isComposing && this.#isOpen() && document.activeElement === document.body) this.#close();
    });
    // On a phone the panel covers the page: whoever moves on to the page wants to see it.
    document.addEventListener("focusin", ({ target }) => {
      if (this.#isOpen() && matchMedia(NARROW).matches && !this.#panel.root.contains(target as Node)) this.#show(false);
    });
    document.addEventListener("visibilitychange", () => this.#receipts());
    addEventListener("storage", ({ key }) => {
      if (store.isOutgoing(key)) this.#showPending();
      if (!store.isSaved(key)) return;
      // Another tab started a conversation, or is done with this one.
      const saved = store.saved();
      if (saved?.id === this.#conversation?.id && saved !== undefined) return;
      if (!saved) this.#drop();
      else if (this.#link.up) void this.#attempt(() => this.#attach());
    });

    const mine = <T extends { conversation_id: string }>(event: string, handle: (argument: T) => void): void =>
      this.#link.on<T>(event, (argument) => {
        if (argument.conversation_id === this.#conversation?.id) handle(argument);
      });
    // Messages that cannot be fetched now are fetched after the next connect.
    mine<Message>("message", (message) => this.#receive([message]).catch(() => undefined));
    this.#link.on<Conversation>("status", (conversation) => {
      if (conversation.id === this.#conversation?.id) this.#moved(conversation);
    });
    mine<Receipt>("receipt", ({ side, delivered, read }) => {
      if (side !== "agent" || !this.#conversation) return;
      const { agent_read: known } = this.#conversation;
      this.#conversation.agent_read = { delivered: Math.max(known.delivered, delivered), read: Math.max(known.read, read) };
      this.#panel.mark((seq) => this.#reached(seq));
    });
    mine<Typing>("typing", ({ author, name, typing }) => {
      if (author === "customer") return;
      clearTimeout(this.#typingEnds);
      this.#panel.typing(typing ? `${name} is typing…` : "");
      if (typing) this.#typingEnds = setTimeout(() => this.#panel.typing(""), TYPING_ENDS);
    });
    mine<Presence>("presence", ({ agent_online }) => {
      this.#agentOnline = agent_online;
      this.#update();
    });
    mine<QueuePosition>("queue_position", ({ position, waiting, answer_by_mail }) => {
      if (!this.#conversation) return;
      this.#conversation.queue_position = position;
      this.#conversation.answer_by_mail = answer_by_mail;
      this.#waiting = waiting;
      this.#update();
    });
    mine<{ conversation_id: string; agent: Person }>("agent_joined", ({ agent }) => {
      this.#agentOnline = true;
      announce(`${agent.name} has joined the chat.`);
    });
    mine<{ conversation_id: string; agent: Person }>("agent_left", ({ agent }) => {
      this.#agentOnline = undefined;
      announce(`${agent.name} has left the chat.`);
    });
    mine<{ conversation_id: string; answer_id: string }>("answer", ({ conversation_id, answer_id }) => this.#followAnswer(conversation_id, answer_id));
    mine<{ conversation_id: string }>("deleted", () => this.#forget());
  }

  // The panel

  #isOpen(): boolean {
    return !this.#panel.root.hidden;
  }

  #open(): void {
    this.#show(true);
    this.#panel.focus();
  }

  #close(): void {
    this.#show(false);
    this.#button.focus();
  }

  #show(open: boolean): void {
    // Messages in the panel when it is closed count as read, even if they came a moment ago.
    if (!open) void this.#sendReceipts();
    this.#button.hidden = open;
    this.#button.setAttribute("aria-expanded", String(open));
    this.#panel.show(open);
    store.saveOpen(open);
    this.#receipts();
    this.#badge();
  }

  #update(): void {
    this.#panel.account(this.#account !== null);
    this.#panel.update({
      shop: this.#button.dataset["shop"] ?? "",
      conversation: this.#conversation,
      on: this.#link.up,
      wasOn: this.#wasOn,
      away: this.#away,
      signedIn: this.#account !== null,
      agentOnline: this.#agentOnline,
      waiting: this.#waiting,
      answerByMail: this.#conversation?.answer_by_mail ?? false,
    });
  }

  /** Notices when the chat stays away. A browser without a network reaches no other page either. */
  #watch(on: boolean): void {
    if (on) {
      clearTimeout(this.#awayTimer);
      this.#awayTimer = 0;
      this.#away = false;
    } else if (this.#awayTimer === 0) {
      this.#awayTimer = setTimeout(() => {
        this.#away = navigator.onLine;
        this.#update();
      }, AWAY_AFTER);
    }
  }

  #badge(): void {
    const unread = this.#isOpen() ? 0 : this.#messages.filter(({ seq, author }) => author !== "customer" && seq > this.#read).length;
    if (!this.#count) return;
    this.#count.hidden = unread === 0;
    this.#count.replaceChildren(
      Object.assign(document.createElement("span"), { ariaHidden: "true", textContent: unread > 9 ? "9+" : String(unread) }),
      Object.assign(document.createElement("span"), { className: "hidden", textContent: unread === 1 ? ", 1 new message" : `, ${unread} new messages` }),
    );
  }

  /** How far an own message has got. An answered one has been read, by the bot at least. */
  #reached(seq: number): Reached {
    if (seq < this.#answered) return "read";
    const { delivered, read } = this.#conversation?.agent_read ?? { delivered: 0, read: 0 };
    return seq <= read ? "read" : seq <= delivered ? "delivered" : "sent";
  }

  /** Does something that may fail, and shows the error. */
  async #attempt(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.#panel.news((error as Error).message);
    }
  }

  // The conversation

  /** Shows the messages that this tab stored, before the hub answers. */
  #restore(saved: Saved): void {
    this.#messages = store.log(saved.id);
    this.#answered = this.#messages.findLast(({ author }) => author === "bot" || author === "agent")?.seq ?? 0;
    this.#panel.add(this.#messages, (seq) => this.#reached(seq));
    this.#panel.earlier(this.#hasEarlier);
  }

  get #last(): number {
    return this.#messages.at(-1)?.seq ?? this.#after;
  }

  get #hasEarlier(): boolean {
    return (this.#messages[0]?.seq ?? this.#after + 1) > 1;
  }

  /** Asks the hub about the present conversation. */
  async #ask<T = void>(method: string, more: object = {}): Promise<T> {
    return this.#link.invoke<T>(method, { conversation_id: this.#conversation?.id, ...more });
  }

  /** After each connect: finds the conversation again, and what was missed. */
  async #attach(): Promise<void> {
    const session = await this.#link.session();
    this.#account = session.account;
    let saved = store.saved();
    // The account changed: the conversation is not this visitor's to see.
    if (saved?.account && saved.account !== session.account) {
      this.#forget();
      saved = undefined;
    }
    if (!saved && session.account) {
      const [latest] = await this.#link.invoke<Conversation[]>("Conversations");
      if (latest) saved = { id: latest.id, account: session.account, last: latest.last_seq, status: latest.status, at: Date.now() };
    }
    if (!saved) {
      if (this.#conversation) this.#drop();
      return;
    }
    if (this.#messages.length > 0 && this.#messages[0]?.conversation_id !== saved.id) this.#drop();
    if (this.#messages.length === 0) this.#after = Math.max(0, saved.last - TAIL);
    const after = this.#last;
    try {
      const request = { conversation_id: saved.id, after, ...(saved.secret && { secret: saved.secret }) };
      const resumed = await this.#link.invoke<Resumed>("Resume", request);
      // A guest who signed in has taken it over.
      const { secret, ...rest } = saved;
      this.#take(resumed.conversation, session.account ? { ...rest, account: session.account } : saved);
      await this.#resumed(resumed);
    } catch (error) {
      if (!(error instanceof HubError) || !["not_found", "forbidden", "unauthenticated", "validation_failed"].includes(error.code)) throw error;
      this.#forget();
      this.#panel.news("Your last conversation is no longer available. You can start a new one.");
    }
  }

  async #resumed({ messages, more }: Resumed): Promise<void> {
    // Messages missed while offline are announced; those from before this page are not.
    if (!this.#wasOn) this.#panel.voice(false);
    await this.#receive(messages, !this.#wasOn);
    if (more) await this.#fill();
    this.#panel.earlier(this.#hasEarlier);
    this.#panel.voice(true);
  }

  /** Makes this the present conversation. */
  #take(conversation: Conversation, saved?: Saved): void {
    const known = saved ?? store.saved();
    this.#conversation = conversation;
    this.#read = Math.max(this.#read, conversation.customer_read.read);
    if (known?.id === conversation.id) {
      store.save({ ...known, last: Math.max(conversation.last_seq, this.#last), status: conversation.status, at: Date.now() });
    }
    this.#panel.mark((seq) => this.#reached(seq));
    this.#update();
  }

  /** The conversation changed. */
  #moved(conversation: Conversation): void {
    const before = this.#conversation;
    if (before && conversation.version < before.version) return;
    if (conversation.status !== "queued") this.#waiting = undefined;
    if (conversation.status !== "with_agent") this.#panel.typing("");
    this.#take(conversation);
    if (before?.status !== conversation.status && (conversation.status === "resolved" || conversation.status === "closed")) {
      announce("The conversation has ended. You can rate it in the chat.");
    }
  }

  /** Leaves the conversation, in this tab only. */
  #drop(): void {
    this.#conversation = undefined;
    this.#messages = [];
    this.#after = this.#read = this.#answered = 0;
    this.#agentOnline = this.#waiting = undefined;
    this.#endAnswer();
    this.#acknowledged.clear();
    this.#panel.clear();
    this.#panel.earlier(false);
    store.removeLog();
    this.#showPending();
    this.#update();
    this.#badge();
  }

  /** Leaves the conversation in all tabs, with what was to be sent to it. */
  #forget(): void {
    for (const { id, conversation } of store.outgoing()) if (conversation !== undefined) store.remove(id);
    this.#failed.clear();
    store.save(undefined);
    this.#drop();
  }

  /** The conversation, which is started when there is none. Tabs do so one after the other, so that there is one. */
  async #ensure(): Promise<void> {
    if (this.#conversation) return;
    const begin = async (): Promise<void> => {
      if (store.saved()) return this.#attach();
      const session = await this.#link.session();
      const who = { ...(session.account ? {} : this.#panel.guest()), language: document.documentElement.lang || "en" };
      const started = await this.#link.invoke<{ conversation: Conversation; secret?: string }>("StartConversation", who);
      const { conversation, secret } = started;
      const owner = secret ? { secret } : session.account ? { account: session.account } : {};
      const saved = { id: conversation.id, ...owner, last: 0, status: conversation.status, at: Date.now() };
      store.save(saved);
      this.#take(conversation, saved);
      this.#panel.voice(true);
      if (conversation.last_seq > 0) await this.#fill();
    };
    if ("locks" in navigator) await navigator.locks.request("bw_chat", begin);
    else await begin();
  }

  async #askForPerson(): Promise<void> {
    await this.#attempt(async () => {
      await this.#ensure();
      this.#moved(await this.#ask<Conversation>("AskForPerson"));
    });
    this.#panel.focus();
  }

  // Messages that come

  /** Adds messages, each once and in order; fetches those missing in between. */
  async #receive(messages: Message[], past = false): Promise<void> {
    const fresh: Message[] = [];
    for (const message of messages) {
      const last = fresh.at(-1)?.seq ?? this.#last;
      if (message.seq <= last) continue;
      if (message.seq > last + 1) {
        this.#append(fresh, past);
        return this.#fill();
      }
      fresh.push(message);
    }
    this.#append(fresh, past);
  }

  #append(fresh: Message[], past: boolean): void {
    if (fresh.length === 0) return;
    this.#messages.push(...fresh);
    for (const { seq, author, client_message_id: id, answer_id } of fresh) {
      if (author === "bot" || author === "agent") this.#answered = seq;
      if (id) {
        this.#acknowledged.delete(id);
        store.remove(id);
      }
      // Of two instances that wrote an answer, one is stored: its message ends the other's draft as well.
      if (answer_id && this.#answer) this.#endAnswer();
    }
    this.#showPending();
    const last = fresh.at(-1) as Message;
    // The sender is no longer typing. A message of the shop itself does not end anybody's typing.
    if (fresh.some(({ author }) => author === "bot" || author === "agent")) this.#panel.typing("");
    this.#panel.add(fresh, (seq) => this.#reached(seq));
    this.#panel.mark((seq) => this.#reached(seq));
    store.saveLog(last.conversation_id, this.#messages);
    const saved = store.saved();
    if (saved?.id === last.conversation_id) store.save({ ...saved, last: last.seq, at: Date.now() });
    if (!past && !this.#isOpen() && last.author !== "customer") announce(`New message from ${last.name}: ${last.text}`);
    this.#receipts();
    this.#badge();
  }

  /** Fetches the messages after the last one here. */
  #fill(): Promise<void> {
    this.#filling ??= (async () => {
      try {
        for (let next: number | null = this.#last; next !== null; ) {
          const page: Page = await this.#ask<Page>("History", { after: next, limit: 200 });
          const fresh = page.items.filter(({ seq }) => seq > this.#last);
          this.#append(fresh, false);
          next = fresh.length > 0 ? page.next : null;
        }
      } finally {
        this.#filling = undefined;
      }
    })();
    return this.#filling;
  }

  async #fetchEarlier(): Promise<void> {
    const first = this.#messages[0]?.seq ?? 1;
    const after = Math.max(0, first - 1 - TAIL);
    const { items } = await this.#ask<Page>("History", { after, limit: Math.min(TAIL, first - 1) });
    const older = items.filter(({ seq }) => seq < first);
    this.#messages.unshift(...older);
    this.#panel.voice(false);
    this.#panel.add(older, (seq) => this.#reached(seq), true);
    this.#panel.voice(true);
    this.#panel.earlier(this.#hasEarlier && older.length > 0);
  }

  async #sendReceipts(): Promise<void> {
    const last = this.#last;
    if (!this.#conversation || !this.#link.up || last === 0) return;
    const seen = this.#isOpen() && !document.hidden;
    const { delivered } = this.#conversation.customer_read;
    if (seen && last > this.#read) {
      this.#read = last;
      this.#conversation.customer_read = { delivered: last, read: last };
      await this.#ask("MarkRead", { seq: last }).catch(() => undefined);
    } else if (last > delivered) {
      this.#conversation.customer_read.delivered = last;
      await this.#ask("MarkDelivered", { seq: last }).catch(() => undefined);
    }
  }

  /** Streams an answer while it is written. */
  #followAnswer(conversation_id: string, answer_id: string): void {
    this.#endAnswer();
    if (this.#messages.some((message) => message.answer_id === answer_id)) return;
    this.#panel.draft("");
    let text = "";
    const stream = this.#link.stream<string>("Answer", { conversation_id, answer_id }, (piece) => {
      text += piece;
      if (this.#answer?.id === answer_id) this.#panel.draft(text);
    });
    this.#answer = { id: answer_id, stream };
  }

  #endAnswer(): void {
    this.#answer?.stream.dispose();
    this.#answer = undefined;
    this.#panel.draft();
  }

  // Messages that go

  #send(text: string): void {
    const { id } = this.#conversation ?? store.saved() ?? {};
    store.put({ id: crypto.randomUUID?.() ?? uuid(), ...(id && { conversation: id }), text, at: Date.now() });
    store.saveText("");
    this.#panel.suggest([]);
    this.#showPending();
    this.#panel.toEnd();
    this.#typingSent = 0;
    void this.#flush();
  }

  #showPending(): void {
    const ours = ({ conversation }: Outgoing): boolean => conversation === undefined || conversation === this.#conversation?.id || !this.#conversation;
    const stored = new Set(this.#messages.map((message) => message.client_message_id));
    const waiting = this.#waitingOnes().filter((one) => ours(one) && !stored.has(one.id));
    this.#panel.pending([
      ...waiting.map((one) => ({ ...one, reached: this.#acknowledged.has(one.id) ? ("sent" as const) : ("waiting" as const) })),
      ...[...this.#failed.values()].map(({ message, why }) => ({ ...message, reached: "failed" as const, why })),
    ]);
  }

  #waitingOnes(): Outgoing[] {
    return store.outgoing().filter(({ id }) => !this.#failed.has(id));
  }

  /** Sends the pending messages in order. Sending one again is harmless: its id is the same. */
  async #flush(): Promise<void> {
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      for (let attempts = 0; this.#link.up; ) {
        const next = this.#waitingOnes().find(({ id }) => !this.#acknowledged.has(id));
        if (!next) return;
        try {
          await this.#ensure();
          const conversation_id = this.#conversation?.id;
          const request = { conversation_id, client_message_id: next.id, text: next.text };
          const { seq } = await this.#link.invoke<{ seq: number }>("SendMessage", request);
          // Until the message itself is here, it is shown as sent.
          if (seq <= this.#last) store.remove(next.id);
          else this.#acknowledged.add(next.id);
          this.#showPending();
          attempts = 0;
        } catch (error) {
          const { code, message } = error as HubError;
          if (code === "offline") return;
          if (["too_many_requests", "unavailable", "internal"].includes(code) && attempts++ < 20) {
            await new Promise((done) => setTimeout(done, Math.min(10_000, 1_000 * attempts)));
            continue;
          }
          store.remove(next.id);
          this.#failed.set(next.id, { message: next, why: message });
          this.#showPending();
        }
      }
    } finally {
      this.#flushing = false;
    }
  }

  #typed(text: string): void {
    store.saveText(text);
    if (text.trim() === "") return this.#sendTyping(false);
    if (performance.now() - this.#typingSent > TYPING) this.#sendTyping(true);
    this.#stopTyping();
  }

  #sendTyping(typing: boolean): void {
    if (!this.#conversation || !this.#link.up || (!typing && this.#typingSent === 0)) return;
    this.#typingSent = typing ? performance.now() : 0;
    this.#ask("Typing", { typing }).catch(() => undefined);
  }
}

/** A random UUID where the page is not served over TLS, and the browser offers none. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
