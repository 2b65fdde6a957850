import { HubConnectionBuilder, HubConnectionState, LogLevel, type HubConnection, type ISubscription } from "@microsoft/signalr";

/** Who is asking, as `/chat/session` says. */
export interface Session {
  access_token: string | null;
  expires_in: number;
  account: string | null;
  name: string | null;
  agent: boolean;
}

/** Why the hub did not do what it was asked. The code is `offline` when it could not be asked. */
export class HubError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** The longest time between two tries, in ms. */
const LONGEST_WAIT = 20_000;
/** A session that is as old is asked for again, in ms: negotiating and connecting need it one after the other. */
const SESSION_KEPT = 10_000;

/** How long to wait after so many tries: longer each time, and not the same for everybody. */
function backOff(tries: number): number {
  return Math.min(LONGEST_WAIT, 500 * 2 ** Math.min(tries, 6)) * (0.5 + Math.random() / 2);
}

/** A connection to the hub that comes back by itself for as long as it is wanted. */
export class Link {
  readonly #hub: HubConnection;
  readonly #state: (on: boolean) => void;
  readonly #attach: () => Promise<void>;
  #wanted = false;
  #up = false;
  /** Counts connects: only after the last one is there something to do. */
  #arrival = 0;
  #hurry: () => void = () => undefined;
  #session: { asked: number; answer: Promise<Session> } | undefined;

  /** `state` is told when the hub can be asked and when not; `attach` runs after each connect, before that. */
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
    addEventListener("offline", () => this.#down());
    // What was open before is not to be trusted.
    addEventListener("online", () => {
      this.#hurry();
      if (this.#wanted && this.#hub.state !== HubConnectionState.Disconnected) void this.#hub.stop();
    });
  }

  get up(): boolean {
    return this.#up;
  }

  /** Who is asking. */
  session(): Promise<Session> {
    if (!this.#session || performance.now() - this.#session.asked > SESSION_KEPT) {
      const kept = { asked: performance.now(), answer: fetchSession() };
      this.#session = kept;
      kept.answer.catch(() => {
        if (this.#session === kept) this.#session = undefined;
      });
    }
    return this.#session.answer;
  }

  /** Connects, and keeps trying. */
  start(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    void this.#connect();
  }

  on<T>(event: string, heard: (argument: T) => void): void {
    this.#hub.on(event, heard);
  }

  async invoke<T = void>(method: string, argument?: unknown): Promise<T> {
    if (this.#hub.state !== HubConnectionState.Connected) throw new HubError("offline", "There is no connection.");
    try {
      return await (argument === undefined ? this.#hub.invoke<T>(method) : this.#hub.invoke<T>(method, argument));
    } catch (error) {
      throw toHubError(error);
    }
  }

  /** Hears a stream. One that breaks is over. */
  stream<T>(method: string, argument: unknown, heard: (item: T) => void): ISubscription<T> {
    return this.#hub.stream<T>(method, argument).subscribe({ next: heard, complete: () => undefined, error: () => undefined });
  }

  async #connect(): Promise<void> {
    for (let tries = 0; this.#wanted; tries++) {
      try {
        await this.#hub.start();
        return await this.#arrive();
      } catch {
        this.#session = undefined;
        await new Promise<void>((done) => {
          const timer = setTimeout(done, backOff(tries));
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
    for (let tries = 0; arrival === this.#arrival && this.#hub.state === HubConnectionState.Connected; tries++) {
      try {
        await this.#attach();
        this.#up = true;
        this.#state(true);
        return;
      } catch {
        await new Promise((done) => setTimeout(done, backOff(tries)));
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

/** Errors of the hub are `<code>: <sentence>`; what the client puts before it is of no interest. */
function toHubError(error: unknown): HubError {
  const text = error instanceof Error ? error.message : String(error);
  const [, code, sentence] = /(?:^|HubException: )([a-z]+(?:_[a-z]+)*): (.+)$/s.exec(text) ?? [];
  return code && sentence ? new HubError(code, sentence) : new HubError("offline", "There is no connection.");
}
