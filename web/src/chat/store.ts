// What the browser stores of the chat. Without storage everything works for as long as the page is open.

import type { Message, Status } from "./model";

/** The current conversation, shared by all tabs. */
export interface Saved {
  id: string;
  /** A guest's secret. */
  secret?: string;
  /** The account whose conversation it is. */
  account?: string;
  /** The last message's number. */
  last: number;
  status: Status;
  /** When it last changed, in ms since 1970. */
  at: number;
}

/** A message that the shop has not acknowledged yet. */
export interface Outgoing {
  id: string;
  /** Left out while the conversation does not exist. */
  conversation?: string;
  text: string;
  at: number;
}

const SAVED = "bw_chat";
const OUT = "bw_chat_out_";
const TEXT = "bw_chat_text";
const OPEN = "bw_chat_open";
const LOG = "bw_chat_log";
/** How many messages a tab stores, to show them immediately on the next page. */
const MAX_LOG = 100;

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
  saved: (): Saved | undefined => read("localStorage", SAVED),
  save: (saved: Saved | undefined): void => write("localStorage", SAVED, saved),
  isSaved: (key: string | null): boolean => key === SAVED || key === null,
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
  remove: (id: string): void => write("localStorage", OUT + id, undefined),

  text: (): string => read<string>("sessionStorage", TEXT) ?? "",
  saveText: (text: string): void => write("sessionStorage", TEXT, text || undefined),
  isOpen: (): boolean => read<boolean>("sessionStorage", OPEN) ?? false,
  saveOpen: (open: boolean): void => write("sessionStorage", OPEN, open || undefined),

  log(id: string): Message[] {
    const log = read<{ id: string; messages: Message[] }>("sessionStorage", LOG);
    return log?.id === id ? log.messages : [];
  },
  saveLog: (id: string, messages: Message[]): void => write("sessionStorage", LOG, { id, messages: messages.slice(-MAX_LOG) }),
  removeLog: (): void => write("sessionStorage", LOG, undefined),
};
