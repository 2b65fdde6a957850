import { HubConnectionBuilder, HubConnectionState, LogLevel, type HubConnection, type ISubscription } from "@microsoft/signalr";

/** The visitor's session, from `/chat/session`. */
export interface Session {
  access_token: string | null;
  expires_in: number;
  account: string | null;
  name: string | null;
  agent: boolean;
}

/** An error of the hub. Its code is `offline` when there is no connection. */
export class HubError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** The longest pause between two attempts, in ms. */
const MAX_BACK_OFF = 20_000;
/** How long a session is reused, in ms: negotiating and connecting need it one after the other. */
const SESSION_MAX_AGE = 10_000;

/** How long to wait at most before asking for what was missed, in ms. */
const RESYNCHRONISE_WITHIN = 2_000;

/** The pause after so many attempts: it grows, and has jitter. */
function backOff(attempts: number): number {
  return Math.min(MAX_BACK_OFF, 500 * 2 ** Math.min(attempts, 6)) * (0.5 + Math.random() / 2);
}

/** A connection to the hub that reconnects by itself until it is stopped. */
export class Link {
  readonly #hub: HubConnection;
  readonly #state: (on: boolean) => void;
  readonly #attach: () => Promise<void>;
  #wanted = false;
  #up = false;
  /** Counts connects: only the last one matters. */
  #arrival = 0;
  #hurry: () => void = () => undefined;
  #session: { asked: number; answer: Promise<Session> } | undefined;

  /** `state` is called when the hub can be used and when not; `attach` runs after each connect, before that. */
  constructor(url: string, state: (on: boolean) => void, attach: () => Promise<void>) {
    this.#state = state;
    this.#attach = attach;
    this.#hub = new HubConnectionBuilder()
      .withUrl(url, { accessTokenFactory: async () => (await this.session()).access_token ?? "" })
      .withAutomaticReconnect({ nextRetryDelayInMilliseconds: ({ previousRetryCount }) => backOff(previousRetryCount) })
      .configureLogging(LogLevel.None)
      .build();
    this.#hub.onreconnecting(() => this.#down());
    this.#hub.onreconnected(() => void this.#arrive());
    this.#hub.onclose(() => {
      this.#down();
      if (this.#wanted) void this.#connect();
    });
    // The connection is fine, but events of other instances were lost. Not everybody asks at the same moment.
    this.#hub.on("resynchronise", () => setTimeout(() => void this.#arrive(), Math.random() * RESYNCHRONISE_WITHIN));
    addEventListener("offline", () => this.#down());
    // A connection from before may be dead.
    addEventListener("online", () => {
      this.#hurry();
      if (this.#wanted && this.#hub.state !== HubConnectionState.Disconnected) void this.#hub.stop();
    });
  }

  get up(): boolean {
    return this.#up;
  }

  /** The visitor's session. */
  session(): Promise<Session> {
    if (!this.#session || performance.now() - this.#session.asked > SESSION_MAX_AGE) {
      const session = { asked: performance.now(), answer: fetchSession() };
      this.#session = session;
      session.answer.catch(() => {
        if (this.#session === session) this.#session = undefined;
      });
    }
    return this.#session.answer;
  }

  /** Connects, and reattempts until it succeeds. */
  start(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    void this.#connect();
  }

  on<T>(event: string, handle: (argument: T) => void): void {
    this.#hub.on(event, handle);
  }

  async invoke<T = void>(method: string, argument?: unknown): Promise<T> {
    if (this.#hub.state !== HubConnectionState.Connected) throw new HubError("offline", "There is no connection.");
    try {
      return await (argument === undefined ? this.#hub.invoke<T>(method) : this.#hub.invoke<T>(method, argument));
    } catch (error) {
      throw toHubError(error);
    }
  }

  /** Subscribes to a stream. One that breaks ends. */
  stream<T>(method: string, argument: unknown, handle: (item: T) => void): ISubscription<T> {
    return this.#hub.stream<T>(method, argument).subscribe({ next: handle, complete: () => undefined, error: () => undefined });
  }

  async #connect(): Promise<void> {
    for (let attempts = 0; this.#wanted; attempts++) {
      try {
        await this.#hub.start();
        return await this.#arrive();
      } catch {
        this.#session = undefined;
        await new Promise<void>((done) => {
          const timer = setTimeout(done, backOff(attempts));
          this.#hurry = () => {
            clearTimeout(timer);
            done();
          };
        });
      }
    }
  }

  async #arrive(): Promise<void> {
    const arrival = ++this.#arrival;
    for (let attempts = 0; arrival === this.#arrival && this.#hub.state === HubConnectionState.Connected; attempts++) {
      try {
        await this.#attach();
        this.#up = true;
        this.#state(true);
        return;
      } catch {
        await new Promise((done) => setTimeout(done, backOff(attempts)));
      }
    }
  }

  #down(): void {
    this.#up = false;
    this.#state(false);
  }
}

async function fetchSession(): Promise<Session> {
  const response = await fetch("/chat/session", {
    headers: { Accept: "application/json" },
    credentials: "same-origin",
    cache: "no-store",
    signal: AbortSignal.timeout(10_000),
  });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return (await response.json()) as Session;
}

/** Reads an error of the hub, `<code>: <sentence>`, without the client's prefix. */
function toHubError(error: unknown): HubError {
  const text = error instanceof Error ? error.message : String(error);
  const [, code, sentence] = /(?:^|HubException: )([a-z]+(?:_[a-z]+)*): (.+)$/s.exec(text) ?? [];
  return code && sentence ? new HubError(code, sentence) : new HubError("offline", "There is no connection.");
}
