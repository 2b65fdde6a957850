// The hub's messages: see docs/chat-hub.md.

export type Status = "bot" | "queued" | "with_agent" | "resolved" | "closed";

export interface Person {
  id: string;
  name: string;
}

export interface ReadState {
  delivered: number;
  read: number;
}

export interface Conversation {
  id: string;
  status: Status;
  customer_id?: string;
  customer_name: string;
  language: string;
  agent?: Person;
  intent?: string;
  queue_position?: number;
  waiting_since?: string;
  answer_by_mail: boolean;
  email_known: boolean;
  last_seq: number;
  customer_read: ReadState;
  agent_read: ReadState;
  rating?: number;
  preview?: string;
  started_at: string;
  updated_at: string;
  version: number;
}

export interface Message {
  conversation_id: string;
  seq: number;
  author: "customer" | "bot" | "agent" | "system";
  agent_id?: string;
  name: string;
  text: string;
  links?: { title: string; href: string }[];
  suggestions?: string[];
  client_message_id?: string;
  answer_id?: string;
  at: string;
}

export interface Resumed {
  conversation: Conversation;
  messages: Message[];
  more: boolean;
}

export interface Page {
  items: Message[];
  next: number | null;
}

export interface Receipt extends ReadState {
  conversation_id: string;
  side: "customer" | "agent";
}

export interface Typing {
  conversation_id: string;
  author: Message["author"];
  name: string;
  typing: boolean;
}

export interface Presence {
  conversation_id: string;
  customer_online: boolean;
  agent_online: boolean;
}

export interface QueuePosition {
  conversation_id: string;
  position: number;
  waiting: number;
  answer_by_mail: boolean;
}

export type Availability = "available" | "away" | "offline";

export interface QueueState {
  waiting: Conversation[];
  agents: { agent: Person; status: Availability; open: number; capacity: number }[];
}

export interface Note {
  conversation_id: string;
  agent: Person;
  text: string;
  at: string;
}

interface Money {
  amount: number;
  currency: string;
}

export interface Context {
  hand_over_reason?: string;
  orders: { id: string; number: string; status: string; total: Money; titles: string[]; placed_at: string }[];
  basket: { title: string; quantity: number }[];
  unavailable?: string[];
}

export interface Opened extends Resumed {
  notes: Note[];
  context: Context;
}

/** The name of a guest who gave none. */
export const GUEST = "Guest";

/** The longest message, in characters. */
export const LONGEST = 4_000;
