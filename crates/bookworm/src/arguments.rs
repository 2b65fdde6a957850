use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use bookworm_config::Sources;
use bookworm_node::Role;
use clap::{Args, Parser, Subcommand, builder::PossibleValuesParser};

use crate::trace::Trace;

const ABOUT: &str = "BookWorm, an online bookstore in one program.";
// One line for each paragraph: clap wraps them to the terminal.
const LONG_ABOUT: &str = "\
BookWorm, an online bookstore in one program.

To start a whole shop on this machine: bookworm serve

Everything it knows is in its data folder: back that up. Settings come from a TOML file (--config), then from environment \
variables, then from flags; later ones win. A variable is BOOKWORM_ and the key, with __ between levels: \
BOOKWORM_MAIL__SMTP__HOST. `bookworm config` shows what is in force and where each value is from.";

const SERVE_EXAMPLES: &str = "\
Examples:
  A whole shop at http://127.0.0.1:8080:
    bookworm serve
  An empty shop in a folder of its own, on any free port:
    bookworm serve --listen 127.0.0.1:0 --data-dir /tmp/try --no-demo
  For others, with the settings of a file:
    bookworm serve --listen 0.0.0.0:80 --config shop.toml";

const INIT_EXAMPLES: &str = "\
Examples:
  A fleet's databases and streams, and its first administrator:
    BOOKWORM_ADMIN__EMAIL=me@example.org BOOKWORM_ADMIN__PASSWORD=... \\
      bookworm init --config fleet.toml --data-dir /var/lib/bookworm/init";

const UP_EXAMPLES: &str = "\
Examples:
  One process for each role, with engines of its own:
    bookworm up deploy/fleet.toml --data-dir fleet-data
  Who is there, while it runs (it prints the settings for this):
    bookworm fleet --config fleet-data/fleet.toml
  Two processes of every role, on engines that run already:
    BOOKWORM_UP__EACH=2 BOOKWORM_NATS__URL=nats://127.0.0.1:4222 \\
      BOOKWORM_REDIS__URL=redis://127.0.0.1 \\
      BOOKWORM_DATABASE__URL=postgres://me:secret@127.0.0.1/shop bookworm up";

const IMPORT_EXAMPLES: &str = "\
Examples:
  See what would happen, and change nothing:
    bookworm import books.csv --dry-run
  Say which columns hold title and price:
    bookworm import books.csv --map title=Name,price=\"Regular price\"";

const FLEET_EXAMPLES: &str = "\
Examples:
  Who is there, by the settings of one of the processes:
    bookworm fleet --config catalog.toml
  The addresses of every catalogue that is ready:
    bookworm fleet --json | jq -r '.instances[]
      | select(.role == \"catalog\" and .state == \"ready\") | .address'";

const TRACE_EXAMPLES: &str = "\
Examples:
  The steps of an order, as a tree:
    bookworm trace 0190b0a0-0000-7000-8000-000000000001
  The same as a sequence diagram, for documents and tickets:
    bookworm trace 0190b0a0-0000-7000-8000-000000000001 --mermaid";

#[derive(Debug, Parser)]
#[command(name = "bookworm", version, max_term_width = 100, about = ABOUT, long_about = LONG_ABOUT)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,

    /// The folder that holds all data [default: bookworm-data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// A TOML file with settings
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Show the log of commands too; without it they show warnings only
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the shop
    ///
    /// Prints `listening on http://ADDRESS` once requests are answered. The first start makes the data folder, loads
    /// the demonstration catalogue and prints the administrator's password, once. Ctrl-C or SIGTERM finishes the
    /// requests that are running and exits with 0; a second one exits at once.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Serve),

    /// Make what the processes of a shop share, and bring it up to date
    ///
    /// The fleet's secret (the file that fleet.token_file names), every role's tables, NATS's stream and buckets, the keys
    /// that sign tokens, the first administrator, and demonstration books unless the settings have `demo = false`. Looks
    /// first whether PostgreSQL, NATS, Redis and MongoDB, where the settings name them, answer and are new enough. Prints a
    /// line for each of these: `made`, or `found` when it was there. What is there stays as it is: repeat it at will, and
    /// run it with each new release before that release starts, while the one before still runs.
    ///
    /// In a fleet give it a data folder of its own; of a shop in one process it takes that shop's, which must not run then.
    #[command(after_help = INIT_EXAMPLES)]
    Init(Init),

    /// Run a whole fleet on this machine: engines, and a process for each role
    ///
    /// Starts the engines that the section [up] of the settings names, each on a port of its own with its data in the data
    /// folder; brings everything up to date as `init` does; starts a process for each role, or as many as [up] says; and
    /// prints `the shop is at http://ADDRESS` once all of them are ready. One log on standard error has the lines of all,
    /// each with the name of its process. A process that ends is started again, after growing pauses. Ctrl-C or SIGTERM ends
    /// all of them together and then the engines, and exits with 0; a second one kills them.
    #[command(after_help = UP_EXAMPLES)]
    Up(Up),

    /// Run a program that ends when the process that starts it does
    #[command(hide = true)]
    Tied(Tied),

    /// Load books from a file
    ///
    /// Reads CSV or JSON, plain or gzipped, and exports of Goodreads, StoryGraph, LibraryThing, Shopify and WooCommerce.
    /// Try it with --dry-run first: it shows how each column is read. Books are recognised by `source_id`: importing
    /// again changes only what changed, and an import that was stopped is finished by starting it again. Records that
    /// cannot be used go to a rejects file with the reason. A book without a price is not for sale. The shop may be
    /// running.
    ///
    /// Exits with 0 when every record was taken, 2 when some were rejected, 3 when all were.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(Import),

    /// Rebuild read models from events and repair differences
    ///
    /// Prints a line for each difference, repairs it, and exits with 1 when there was one.
    Replay {
        #[command(subcommand)]
        what: Replay,
    },

    /// Reconcile orders, payments, provider and ledger
    ///
    /// Prints a line for each difference, and exits with 1 when there is one. What is still being processed (an order
    /// whose payment was captured while the event about it waits on the bus) is listed apart and is no difference.
    Reconcile,

    /// Show the processes of the shop: roles, state, release, load
    ///
    /// Asks the registry that they announce themselves in: give it the settings of one of them (--config). Below the
    /// table stands why the monitor says that nobody should ask an instance, and whom an instance does not reach.
    #[command(after_help = FLEET_EXAMPLES)]
    Fleet {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },

    /// Have the other processes of the shop leave one alone
    ///
    /// It answers what it is asked and goes on with its work, but is not asked while another can be: `/health/ready` says
    /// 503, and the registry `draining`. So it stays until it ends, or until --undo. Before `serve` ends it does the same
    /// by itself. Needs [nats], and the fleet's secret.
    Drain(Drain),

    /// Show what happened to an order, a conversation or a request
    ///
    /// Asks the running shop of these settings for the steps that its processes remember: requests, calls, messages,
    /// statements, with how long each took. They are kept for a while (telemetry.recent_traces_minutes).
    #[command(after_help = TRACE_EXAMPLES)]
    Trace(Trace),

    /// Show the settings, and where each comes from; secrets are hidden
    Config,
}

#[derive(Debug, Subcommand)]
pub enum Replay {
    /// The orders' read model
    Orders,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Roles to run, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "ROLE,...", value_parser = PossibleValuesParser::new(Role::ALL.map(Role::name)))]
    roles: Vec<String>,

    /// The address to listen on; port 0 takes any free port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,

    /// Start with an empty catalogue
    #[arg(long)]
    no_demo: bool,

    /// Make this database anew, empty, where it is missing or belongs to another shop; otherwise the shop refuses to
    /// start. Its data is lost; another shop's is set aside. Use it once, not in a service file
    #[arg(long, value_delimiter = ',', value_name = "DATABASE,...")]
    pub recreate: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Init {
    /// Leave an empty catalogue empty
    #[arg(long)]
    no_demo: bool,
}

#[derive(Debug, Args)]
pub struct Up {
    /// A TOML file with settings, as --config; see deploy/fleet.toml [default: that of --config]
    pub file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Tied {
    /// The process that starts it
    #[arg(long)]
    pub parent: i32,

    /// The user that it runs as
    #[arg(long, requires = "gid")]
    pub uid: Option<u32>,

    /// The only group of that user
    #[arg(long, requires = "uid")]
    pub gid: Option<u32>,

    /// Send it SIGINT and not SIGTERM
    #[arg(long)]
    pub interrupt: bool,

    /// The program
    pub program: PathBuf,

    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct Drain {
    /// The process's name in the registry: `fleet.instance`, or what it made at its start
    pub instance: String,

    /// Have it asked again
    #[arg(long)]
    pub undo: bool,
}

#[derive(Debug, Args)]
pub struct Import {
    /// The file to import
    pub file: PathBuf,

    /// Show what would be added, changed and skipped, and write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Which column holds which field, where its name does not say: title=Name,price="Regular price"
    #[arg(long = "map", value_name = "FIELD=COLUMN,...")]
    pub map: Vec<String>,

    /// The file's text encoding, such as windows-1250 [default: detected]
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<String>,

    /// Where to write records that cannot be used [default: FILE.rejects.jsonl]
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,

    /// Where to write what was rejected or adjusted, as CSV [default: FILE.report.csv]
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

impl Arguments {
    /// Where the settings come from.
    pub fn sources(&self) -> Sources {
        let mut sources = Sources::new().environment();
        if let Some(file) = self.file() {
            sources = sources.file(file);
        }
        if let Some(dir) = &self.data_dir {
            sources = sources.set("--data-dir", "data_dir", dir.to_string_lossy());
        }
        if let Command::Serve(serve) = &self.command {
            if !serve.roles.is_empty() {
                sources = sources.set("--roles", "roles", serve.roles.join(","));
            }
            if let Some(listen) = &serve.listen {
                sources = sources.set("--listen", "listen", listen);
            }
            if serve.no_demo {
                sources = sources.set("--no-demo", "demo", "false");
            }
        }
        if let Command::Init(Init { no_demo: true }) = &self.command {
            sources = sources.set("--no-demo", "demo", "false");
        }
        if !matches!(self.command, Command::Serve(_)) && self.verbose {
            sources = sources.set("--verbose", "telemetry.log_filter", "info");
        }
        sources
    }

    /// The file with settings.
    pub fn file(&self) -> Option<&Path> {
        match &self.command {
            Command::Up(Up { file: Some(file) }) => Some(file),
            _ => self.config.as_deref(),
        }
    }

    /// Whether the log is left out but for warnings: a command's answer should not drown in it.
    pub fn is_quiet(&self) -> bool {
        !self.verbose && !matches!(self.command, Command::Serve(_))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    /// Also of what clap does not wrap: the examples.
    #[test]
    fn help_fits_a_terminal_of_80_columns() {
        fn check(command: &mut clap::Command) {
            let name = command.get_name().to_owned();
            for help in [command.render_help(), command.render_long_help()] {
                for line in help.to_string().lines() {
                    assert!(line.chars().count() <= 80, "{name}: {line}");
                }
            }
            for sub in command.get_subcommands_mut() {
                check(sub);
            }
        }
        let mut command = Arguments::command().term_width(80);
        command.build();
        check(&mut command);
    }
}
