// The support desk: follows the hub, keeps the state, and carries out what the agent does. `desk-view.ts` shows it,
// `desk-controls.ts` has the agent's settings, shortcuts and transfers.
import { announce } from "../page";
import { Composer, type Reply } from "./composer";
import { askTransfer, availabilityForm, handleKey, loadSettings, shortcutHelp } from "./desk-controls";
import { DeskView, State, type Thread } from "./desk-view";
import { h, rest } from "./dom";
import { HubError, Link } from "./link";
import type { Conversation, Message, Note, Opened, Page, Presence, QueueState, Receipt, Typing } from "./model";

/** How often waiting times are updated, in ms. */
const REFRESH = 20_000;
/** "Typing" is sent at most this often, and ends after as long a pause, in ms. */
const TYPING = 3_000;
/** When the other side's "typing" ends by itself, in ms. */
const TYPING_ENDS = 7_000;

/** Fills the page. */
export function start(root: HTMLElement): void {
  new Desk(root).begin();
}

class Desk {
  readonly #desk = new State();
  readonly #link: Link;
  readonly #settings = loadSettings();
  readonly #composer: Composer;
  readonly #view: DeskView;
  readonly #help: HTMLDialogElement;
  readonly #transfer = h("dialog", { class: "desk__dialog", "aria-labelledby": "transfer-title" });
  readonly #flushing = new Set<string>();
  /** When "typing" was sent last; 0 when it is not in force. */
  #typingSent = 0;
  readonly #stopTyping = rest(TYPING, () => this.#sendTyping(false));
  readonly #typingEnds = new Map<string, number>();

  constructor(root: HTMLElement) {
    this.#help = shortcutHelp(this.#settings);
    this.#composer = new Composer(
      (text) => this.#send(text),
      (text) => this.#typed(text),
    );
    this.#view = new DeskView(root, this.#desk, this.#composer, {
      accept: (id) => void this.#accept(id),
      look: (id) => void this.#look(id),
      go: (id) => this.#go(id),
      end: (resolution) => void this.#end(resolution),
      reopen: () => void this.#reopen(),
      askTransfer: () => this.#askTransfer(),
      addNote: (text) => this.#addNote(text),
      help: () => this.#help.showModal(),
      shown: () => this.#readCurrent(),
    });
    this.#link = new Link(
      "/hubs/chat",
      (on) => {
        this.#view.connected(on);
        if (on) for (const id of this.#desk.threads.keys()) void this.#flush(id);
      },
      () => this.#attach(),
    );
  }

  begin(): void {
    const form = availabilityForm(this.#settings, () => void this.#attempt(() => this.#sendAvailability()));
    this.#view.build(form, this.#help, this.#transfer);
    this.#listen();
    this.#link.start();
    setInterval(() => this.#view.showLists(), REFRESH);
  }

  async #sendAvailability(): Promise<void> {
    const { status, capacity, skills, languages } = this.#settings;
    await this.#link.invoke("SetAvailability", { status, capacity, skills, languages });
    this.#desk.queue = await this.#link.invoke<QueueState>("Queue");
    this.#view.showLists();
  }

  // The hub

  async #attach(): Promise<void> {
    const session = await this.#link.session();
    if (!session.agent || !session.account) {
      // Signed out meanwhile: the page offers to sign in.
      location.reload();
      return;
    }
    this.#desk.me = session.account;
    await this.#sendAvailability();
    const own = await this.#link.invoke<Conversation[]>("MyConversations");
    this.#desk.mine = new Set(own.map(({ id }) => id));
    for (const { id } of own) await this.#attachTo(id);
    for (const id of this.#desk.threads.keys()) {
      if (this.#desk.mine.has(id)) continue;
      if (id === this.#desk.current) await this.#attachTo(id);
      else this.#desk.threads.delete(id);
    }
    this.#composer.replies = await this.#link.invoke<Reply[]>("CannedReplies").catch(() => []);
    this.#view.show();
  }

  /** Opens a conversation, or fetches what was missed of it. One that was deleted is removed. */
  async #attachTo(id: string): Promise<void> {
    const after = this.#desk.threads.get(id)?.messages.at(-1)?.seq ?? 0;
    try {
      await this.#opened(await this.#link.invoke<Opened>("Open", { conversation_id: id, after }));
    } catch (error) {
      if (!(error instanceof HubError) || error.code !== "not_found") throw error;
      this.#remove(id);
    }
  }

  async #opened({ conversation, messages, more, notes, context }: Opened): Promise<void> {
    const id = conversation.id;
    const known = this.#desk.threads.get(id);
    const thread: Thread = known ?? { conversation, messages: [], notes, context, customerOnline: undefined, typing: "", draft: "", note: "", outgoing: [] };
    Object.assign(thread, { conversation, notes, context });
    this.#desk.threads.set(id, thread);
    if (conversation.agent?.id === this.#desk.me && conversation.status === "with_agent") this.#desk.mine.add(id);
    this.#add(thread, messages, true);
    for (let next: number | null = more ? (thread.messages.at(-1)?.seq ?? 0) : null; next !== null; ) {
      const page: Page = await this.#link.invoke<Page>("History", { conversation_id: id, after: next, limit: 200 });
      this.#add(thread, page.items, true);
      next = page.items.length > 0 ? page.next : null;
    }
  }

  #listen(): void {
    const on = <T extends { conversation_id: string }>(event: string, handle: (argument: T, thread: Thread) => void): void =>
      this.#link.on<T>(event, (argument) => {
        const thread = this.#desk.threads.get(argument.conversation_id);
        if (thread) handle(argument, thread);
      });
    on<Message>("message", (message, thread) => {
      const last = thread.messages.at(-1)?.seq ?? 0;
      if (message.seq > last + 1) void this.#attempt(() => this.#attachTo(message.conversation_id).then(() => this.#view.show()));
      else this.#add(thread, [message]);
    });
    this.#link.on<Conversation>("status", (conversation) => this.#changed(conversation));
    on<Receipt>("receipt", ({ side, delivered, read }, thread) => {
      if (side !== "customer") return;
      const known = thread.conversation.customer_read;
      thread.conversation.customer_read = { delivered: Math.max(known.delivered, delivered), read: Math.max(known.read, read) };
      if (thread === this.#desk.open) this.#view.mark(thread);
    });
    on<Typing>("typing", ({ conversation_id, author, name, typing }, thread) => {
      if (author !== "customer") return;
      clearTimeout(this.#typingEnds.get(conversation_id));
      const end = (): void => {
        thread.typing = "";
        this.#view.showTyping();
      };
      thread.typing = typing ? `${name} is typing…` : "";
      if (typing) this.#typingEnds.set(conversation_id, setTimeout(end, TYPING_ENDS));
      this.#view.showTyping();
    });
    on<Presence>("presence", ({ customer_online }, thread) => {
      thread.customerOnline = customer_online;
      if (thread === this.#desk.open) this.#view.showHead(thread);
    });
    on<Note>("note", (note, thread) => {
      if (thread.notes.some(({ at, text }) => at === note.at && text === note.text)) return;
      thread.notes.push(note);
      if (thread === this.#desk.open) this.#view.showNotes(thread);
    });
    on<{ conversation_id: string }>("deleted", ({ conversation_id }) => {
      this.#remove(conversation_id);
      announce("The customer deleted a conversation.");
      this.#view.show();
    });
    this.#link.on<QueueState>("queue", (queue) => {
      if (queue.waiting.length > this.#desk.queue.waiting.length) announce(`${queue.waiting.length} in the queue.`);
      this.#desk.queue = queue;
      this.#view.showLists();
    });
    this.#link.on<Conversation>("assigned", (conversation) => {
      this.#desk.mine.add(conversation.id);
      announce(`New chat with ${conversation.customer_name}.`);
      void this.#attempt(async () => {
        await this.#attachTo(conversation.id);
        this.#desk.current ??= conversation.id;
        this.#view.show();
      });
    });
    document.addEventListener("visibilitychange", () => this.#readCurrent());
    document.addEventListener("keydown", (event) =>
      handleKey(event, this.#settings, {
        help: () => this.#help.showModal(),
        acceptNext: () => {
          const [first] = this.#desk.queue.waiting;
          if (first) void this.#accept(first.id);
        },
        step: (by) => this.#step(by),
        reply: () => this.#composer.box.focus(),
        note: () => this.#view.focusNote(),
        transfer: () => this.#askTransfer(),
        resolve: () => {
          if (this.#desk.open?.conversation.status === "with_agent") void this.#end("resolved");
        },
      }),
    );
  }

  #changed(conversation: Conversation): void {
    const { id } = conversation;
    const thread = this.#desk.threads.get(id);
    const mine = conversation.agent?.id === this.#desk.me && conversation.status === "with_agent";
    if (thread) {
      if (conversation.version < thread.conversation.version) return;
      thread.conversation = conversation;
    }
    if (mine) this.#desk.mine.add(id);
    else this.#desk.mine.delete(id);
    if (thread && !mine && id !== this.#desk.current) this.#desk.threads.delete(id);
    if (id === this.#desk.current && thread) this.#view.showHead(thread);
    this.#view.showLists();
  }

  #remove(id: string): void {
    this.#desk.threads.delete(id);
    this.#desk.mine.delete(id);
    if (this.#desk.current === id) this.#desk.current = undefined;
  }

  /** Adds messages, each once. */
  #add(thread: Thread, messages: Message[], past = false): void {
    const fresh = messages.filter(({ seq }) => seq > (thread.messages.at(-1)?.seq ?? 0));
    if (fresh.length === 0) return;
    thread.messages.push(...fresh);
    const ids = new Set(fresh.map((message) => message.client_message_id));
    thread.outgoing = thread.outgoing.filter(({ id }) => !ids.has(id));
    if (fresh.some(({ author }) => author === "customer")) thread.typing = "";
    const last = fresh.at(-1) as Message;
    thread.conversation.last_seq = Math.max(thread.conversation.last_seq, last.seq);
    if (thread === this.#desk.open) {
      this.#view.append(thread, fresh);
      this.#view.showTyping();
      this.#view.showContext(thread);
    }
    if (!past && last.author === "customer" && thread !== this.#desk.open) announce(`${last.name}: ${last.text}`);
    this.#readCurrent();
    if (thread !== this.#desk.open) this.#notify("MarkDelivered", { conversation_id: last.conversation_id, seq: last.seq });
    this.#view.showLists();
  }

  #notify(method: string, argument: object): void {
    this.#link.invoke(method, argument).catch(() => undefined);
  }

  /** Marks the open conversation as read. */
  #readCurrent(): void {
    const thread = this.#desk.open;
    const last = thread?.messages.at(-1)?.seq ?? 0;
    if (!thread || document.hidden || last <= thread.conversation.agent_read.read) return;
    thread.conversation.agent_read = { delivered: last, read: last };
    if (this.#desk.mine.has(thread.conversation.id)) this.#notify("MarkRead", { conversation_id: thread.conversation.id, seq: last });
    this.#view.showLists();
  }

  /** Does something that may fail, and shows the error. */
  async #attempt(act: () => Promise<void>): Promise<void> {
    this.#view.problem("");
    try {
      await act();
    } catch (error) {
      this.#view.problem((error as Error).message);
    }
  }

  // The agent's actions

  async #accept(id: string): Promise<void> {
    await this.#attempt(async () => {
      await this.#opened(await this.#link.invoke<Opened>("Accept", { conversation_id: id }));
      this.#go(id);
    });
  }

  async #look(id: string): Promise<void> {
    await this.#attempt(async () => {
      if (!this.#desk.threads.has(id)) await this.#attachTo(id);
      this.#go(id);
    });
  }

  /** Shows a conversation. */
  #go(id: string | undefined): void {
    const left = this.#desk.current;
    this.#desk.current = id;
    if (left !== undefined && left !== id && !this.#desk.mine.has(left)) this.#desk.threads.delete(left);
    this.#view.show();
    if (id === undefined) return;
    this.#view.focus();
  }

  #send(text: string): void {
    const thread = this.#desk.open;
    if (!thread) return;
    thread.outgoing.push({ id: crypto.randomUUID(), text });
    thread.draft = "";
    this.#typingSent = 0;
    this.#view.showPending(thread);
    this.#view.toEnd();
    void this.#flush(thread.conversation.id);
  }

  /** Sends the pending messages of a conversation, in order; a refused one is shown with the reason. */
  async #flush(id: string): Promise<void> {
    const thread = this.#desk.threads.get(id);
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
        if (thread === this.#desk.open) this.#view.showPending(thread);
        next = thread.outgoing.find((one) => !sent.has(one.id) && one.why === undefined);
      }
    } finally {
      this.#flushing.delete(id);
    }
  }

  #typed(text: string): void {
    const thread = this.#desk.open;
    if (thread) thread.draft = text;
    if (text.trim() === "" || text.startsWith("/")) return;
    if (performance.now() - this.#typingSent > TYPING) this.#sendTyping(true);
    this.#stopTyping();
  }

  #sendTyping(typing: boolean): void {
    if (!this.#desk.current || (!typing && this.#typingSent === 0)) return;
    this.#typingSent = typing ? performance.now() : 0;
    this.#notify("Typing", { conversation_id: this.#desk.current, typing });
  }

  #addNote(text: string): void {
    const thread = this.#desk.open;
    if (!thread || text === "") return;
    void this.#attempt(async () => {
      const note = await this.#link.invoke<Note>("AddNote", { conversation_id: thread.conversation.id, text });
      if (!thread.notes.some(({ at }) => at === note.at)) thread.notes.push(note);
      thread.note = "";
      this.#view.clearNote();
      this.#view.showNotes(thread);
      announce("Note added.");
    });
  }

  async #end(resolution: "resolved" | "closed"): Promise<void> {
    const id = this.#desk.current;
    await this.#attempt(async () => {
      this.#changed(await this.#link.invoke<Conversation>("Close", { conversation_id: id, resolution }));
      announce(resolution === "resolved" ? "Resolved." : "Closed.");
      this.#view.show();
    });
  }

  async #reopen(): Promise<void> {
    await this.#attempt(async () => {
      const opened = await this.#link.invoke<Opened>("Reopen", { conversation_id: this.#desk.current });
      await this.#opened(opened);
      this.#go(opened.conversation.id);
    });
  }

  #askTransfer(): void {
    const { conversation } = this.#desk.open ?? {};
    if (conversation?.status !== "with_agent") return;
    askTransfer(this.#transfer, conversation, this.#desk.queue, this.#desk.me, (target) => {
      void this.#attempt(async () => {
        this.#changed(await this.#link.invoke<Conversation>("Transfer", { conversation_id: conversation.id, ...target }));
        announce("Transferred.");
        this.#go(undefined);
      });
    });
  }

  #step(by: 1 | -1): void {
    const all = [...this.#desk.mine];
    if (all.length === 0) return;
    const place = all.indexOf(this.#desk.current ?? "");
    this.#go(all[place < 0 ? 0 : (place + by + all.length) % all.length]);
  }
}
