import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, createWriteStream, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export const ADMIN = { email: "owner@shop.example", password: "a-shelf-of-good-books" };

const BINARY = process.env.BOOKWORM_BIN ?? resolve(__dirname, "../../../target/debug/bookworm");

/** The first start loads the demonstration catalogue, in a debug build, on a machine that may be busy. */
const START_MS = 120_000;
/** The same of two dozen processes. */
const FLEET_START_MS = 420_000;
/** How long a shop may take to end, and a fleet with its engines. */
const STOP_MS = 20_000;
const FLEET_STOP_MS = 120_000;

/** The real program on a free port, with a data folder of its own. */
export class Server {
  private constructor(
    readonly url: string,
    readonly dataDir: string,
    readonly log: string,
    private readonly child: ChildProcess,
    private readonly stopMs: number,
  ) {}

  /**
   * Starts it and waits until it answers. `port` 0 takes any; a `dataDir` that exists is used again. With `fleet`, the
   * settings of one, `bookworm up` starts it as many processes.
   */
  static async start({
    port = 0,
    dataDir = mkdtempSync(join(tmpdir(), "bookworm-e2e-")),
    fleet = undefined as string | undefined,
  } = {}): Promise<Server> {
    if (!existsSync(BINARY)) throw new Error(`${BINARY} is missing: build it with \`cargo build --bin bookworm\``);
    const log = join(dataDir, "e2e.log");
    const startMs = fleet ? FLEET_START_MS : START_MS;
    // Run by root, PostgreSQL has another user, who must get through.
    if (fleet) chmodSync(dataDir, 0o711);
    const child = spawn(BINARY, [...(fleet ? ["up", fleet] : ["serve"]), "--data-dir", dataDir], {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        // Settings of whoever runs the tests are not the tests' settings, but for the engines of a fleet.
        ...Object.fromEntries(
          Object.entries(process.env).filter(
            ([name]) => !name.startsWith("BOOKWORM_") || (fleet && name.startsWith("BOOKWORM_UP__")),
          ),
        ),
        BOOKWORM_LISTEN: `127.0.0.1:${port}`,
        BOOKWORM_ADMIN__EMAIL: ADMIN.email,
        BOOKWORM_ADMIN__PASSWORD: ADMIN.password,
        // Tests wait for an agent who vanishes to be missed; reloading the desk takes less.
        BOOKWORM_CHAT__AGENT_GRACE_SECONDS: "5",
        BOOKWORM_CHAT__MAX_OPEN: "1000",
        BOOKWORM_GATEWAY__RATE_LIMIT__ENABLED: "false",
        BOOKWORM_IDENTITY__LOCKOUT__PER_ADDRESS_PER_MINUTE: "10000",
        BOOKWORM_MAIL__LIMITS__ACCOUNT__SENDER_HOUR: "10000",
        BOOKWORM_MAIL__LIMITS__ACCOUNT__SENDER_DAY: "10000",
        BOOKWORM_MAIL__LIMITS__CHAT__SENDER_HOUR: "10000",
        BOOKWORM_MAIL__LIMITS__CHAT__SENDER_DAY: "10000",
        BOOKWORM_MAIL__LIMITS__ORDER__SENDER_HOUR: "10000",
        BOOKWORM_MAIL__LIMITS__ORDER__SENDER_DAY: "10000",
      },
    });
    const file = createWriteStream(log, { flags: "a" });
    child.stderr?.pipe(file, { end: false });
    child.stdout?.pipe(file, { end: false });
    const url = await new Promise<string>((done, fail) => {
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        fail(new Error(`the shop did not start in ${startMs / 1000} s:\n${tail(log)}`));
      }, startMs);
      let seen = "";
      child.stdout?.on("data", (chunk: Buffer) => {
        seen += chunk.toString();
        const found = /(?:listening on|the shop is at) (http:\/\/[^/\s]+)/.exec(seen)?.[1];
        if (found) {
          clearTimeout(timer);
          done(found);
        }
      });
      child.on("close", (code) => {
        clearTimeout(timer);
        fail(new Error(`the shop ended with ${code} before it answered:\n${seen}${tail(log)}`));
      });
    });
    return new Server(url, dataDir, log, child, fleet ? FLEET_STOP_MS : STOP_MS);
  }

  /** Pulls the plug. */
  async kill(): Promise<void> {
    await this.end("SIGKILL");
  }

  /** Asks it to finish and gives its exit code; one that does not finish in time is killed. */
  async stop(): Promise<number | null> {
    const timer = setTimeout(() => this.child.kill("SIGKILL"), this.stopMs);
    const code = await this.end("SIGTERM");
    clearTimeout(timer);
    return code;
  }

  /** Removes its data. */
  remove(): void {
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  private async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    return new Promise((done) => {
      this.child.once("exit", (code) => done(code));
      this.child.kill(signal);
    });
  }
}

/** The last lines of a log. */
export function tail(log: string, lines = 60): string {
  return existsSync(log) ? readFileSync(log, "utf8").split("\n").slice(-lines).join("\n") : "";
}

/** A port that nobody listens on just now. */
export async function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.once("error", fail);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      const port = typeof address === "object" && address ? address.port : 0;
      probe.close(() => done(port));
    });
  });
}
