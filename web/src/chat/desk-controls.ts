// The agent's controls at the desk: availability, the keyboard, and transfers.
import { h } from "./dom";
import type { Availability, Conversation, QueueState } from "./model";

const SKILLS = ["orders", "payment", "books", "account", "general"] as const;
export const LANGUAGES: readonly (readonly [string, string])[] = [["en", "English"], ["de", "German"], ["fr", "French"], ["es", "Spanish"], ["it", "Italian"], ["pt", "Portuguese"], ["nl", "Dutch"], ["pl", "Polish"]];
const AVAILABILITIES: readonly (readonly [Availability, string])[] = [["available", "Available"], ["away", "Away"], ["offline", "Offline"]];

/** The agent's settings on this computer. */
export interface Settings {
  status: Availability;
  capacity: number;
  skills: string[];
  languages: string[];
  /** Whether single keys are shortcuts. */
  keys: boolean;
}

/** The settings that were stored last. */
export function loadSettings(): Settings {
  return { status: "away", capacity: 3, skills: [...SKILLS], languages: ["en"], keys: true, ...stored() };
}

/** The form for status, capacity, skills and languages; `changed` is called after each change. */
export function availabilityForm(settings: Settings, changed: () => void): HTMLElement {
  const change = (): void => {
    store(settings);
    changed();
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
      // At least one stays ticked.
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

/** The dialog that lists the shortcuts. */
export function shortcutHelp(settings: Settings): HTMLDialogElement {
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
  const keys = h("input", { type: "checkbox", checked: settings.keys });
  keys.addEventListener("change", () => {
    settings.keys = keys.checked;
    store(settings);
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

/** What the shortcuts do. */
export interface Shortcuts {
  help(): void;
  acceptNext(): void;
  /** Shows the next conversation, or the previous one. */
  step(by: 1 | -1): void;
  reply(): void;
  note(): void;
  transfer(): void;
  resolve(): void;
}

/** Handles a key press. */
export function handleKey(event: KeyboardEvent, settings: Settings, shortcuts: Shortcuts): void {
  const target = event.target as HTMLElement;
  if (event.isComposing || event.ctrlKey || event.metaKey || document.querySelector("dialog[open]")) return;
  if (event.altKey && event.shiftKey && event.code === "KeyR") {
    event.preventDefault();
    shortcuts.resolve();
    return;
  }
  if (event.altKey) return;
  const typing = target.matches("input, textarea, select");
  if (event.key === "Escape" && typing) return target.blur();
  if (typing || !settings.keys) return;
  const actions: Record<string, () => void> = {
    "?": () => shortcuts.help(),
    a: () => shortcuts.acceptNext(),
    j: () => shortcuts.step(1),
    k: () => shortcuts.step(-1),
    r: () => shortcuts.reply(),
    n: () => shortcuts.note(),
    t: () => shortcuts.transfer(),
  };
  const action = actions[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
}

/** To whom a conversation is transferred. */
export type TransferTarget = { agent_id: string } | { skill: string };

/** Asks to whom to transfer a conversation: a colleague with room, or the queue. `chosen` is not called on cancel. */
export function askTransfer(dialog: HTMLDialogElement, conversation: Conversation, queue: QueueState, me: string, chosen: (target: TransferTarget) => void): void {
  const free = queue.agents.filter(({ agent, status, open, capacity }) => agent.id !== me && status === "available" && open < capacity);
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
  dialog.replaceChildren(form);
  dialog.onclose = () => {
    const [kind, value] = to.value.split(" ");
    if (dialog.returnValue !== "pass" || !kind || !value) return;
    chosen(kind === "agent" ? { agent_id: value } : { skill: value });
  };
  dialog.returnValue = "";
  dialog.showModal();
}

export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const STORAGE_KEY = "bw_desk";

function stored(): Partial<Settings> {
  try {
    return JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "{}") as Partial<Settings>;
  } catch {
    return {};
  }
}

function store(settings: Settings): void {
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify(settings));
  } catch {
    // The settings last for this visit only.
  }
}
