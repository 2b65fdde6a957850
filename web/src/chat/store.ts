// What a browser remembers of the chat. Everything works without, for as long as the page is open.

import type { Message, Status } from "./model";

/** The conversation that goes on, known to all tabs. */
export interface Kept {
  id: string;
  /** A guest's proof. */
  secret?: string;
  /** The account whose conversation it is. */
  account?: string;
  /** The last message's number. */
  last: number;
  status: Status;
  /** When something last happened, in ms since 1970. */
  at: number;
}

/** A message that the shop has not yet acknowledged. */
export interface Outgoing {
  id: string;
  /** Nothing while the conversation does not exist. */
  conversation?: string;
  text: string;
  at: number;
}

const KEPT = "bw_chat";
const OUT = "bw_chat_out_";
const TEXT = "bw_chat_text";
const OPEN = "bw_chat_open";
const LOG = "bw_chat_log";
/** How many messages a tab keeps to show them at once on the next page. */
const LOGGED = 100;

function read<T>(storage: "localStorage" | "sessionStorage", key: string): T | undefined {
  try {
    const text = window[storage].getItem(key);
    return text === null ? undefined : (JSON.parse(text) as T);
  } catch {
    return undefined;
  }
}

function write(storage: "localStorage" | "sessionStorage", key: string, value: unknown): void {
  try {
    if (value === undefined) window[storage].removeItem(key);
    else window[storage].setItem(key, JSON.stringify(value));
  } catch {
    // Full, or switched off.
  }
}

export const store = {
  kept: (): Kept | undefined => read("localStorage", KEPT),
  keep: (kept: Kept | undefined): void => write("localStorage", KEPT, kept),
  isKept: (key: string | null): boolean => key === KEPT || key === null,
  isOutgoing: (key: string | null): boolean => key?.startsWith(OUT) ?? true,

  outgoing(): Outgoing[] {
    try {
      const keys = Object.keys(localStorage).filter((key) => key.startsWith(OUT));
      const all = keys.map((key) => read<Outgoing>("localStorage", key)).filter((one): one is Outgoing => one !== undefined);
      return all.sort((one, other) => one.at - other.at);
    } catch {
      return [];
    }
  },
  put: (one: Outgoing): void => write("localStorage", OUT + one.id, one),
  drop: (id: string): void => write("localStorage", OUT + id, undefined),

  text: (): string => read<string>("sessionStorage", TEXT) ?? "",
  type: (text: string): void => write("sessionStorage", TEXT, text || undefined),
  isOpen: (): boolean => read<boolean>("sessionStorage", OPEN) ?? false,
  open: (open: boolean): void => write("sessionStorage", OPEN, open || undefined),

  log(id: string): Message[] {
    const kept = read<{ id: string; messages: Message[] }>("sessionStorage", LOG);
    return kept?.id === id ? kept.messages : [];
  },
  remember: (id: string, messages: Message[]): void => write("sessionStorage", LOG, { id, messages: messages.slice(-LOGGED) }),
  forgetLog: (): void => write("sessionStorage", LOG, undefined),
};
