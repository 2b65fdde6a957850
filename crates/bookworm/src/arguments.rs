use std::path::PathBuf;

use bookworm_config::Sources;
use clap::{Args, Parser, Subcommand};

/// BookWorm, an online bookstore in one program.
///
/// Start a whole shop on this machine:
///
///     bookworm serve
///
/// Everything it knows is in its data folder: back that up. Settings come from a TOML file (--config), then environment
/// variables (BOOKWORM_ and the key, with __ between levels: BOOKWORM_MAIL__SMTP__HOST), then these flags; later ones
/// win. `bookworm config` shows the result.
#[derive(Debug, Parser)]
#[command(name = "bookworm", version, max_term_width = 100, verbatim_doc_comment)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,

    /// The folder that holds all data; made when it is missing [default: bookworm-data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// A TOML file with settings
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the shop
    ///
    /// Prints `listening on http://ADDRESS` once requests are answered. The first start makes the data folder, loads
    /// the demonstration catalogue and prints the administrator's password, once. An interrupt (Ctrl-C) or SIGTERM
    /// finishes what is in flight and exits with 0; a second one exits at once.
    Serve(Serve),

    /// Load books from a file
    ///
    /// CSV or JSON, plain or gzip; exports of Goodreads, StoryGraph, LibraryThing, Shopify and WooCommerce are known.
    /// Try it with --dry-run first: it tells what each column was understood as. Books are recognised by `source_id`:
    /// importing again changes only what changed, and an import that was stopped is finished by starting it again. What
    /// cannot be used goes to a rejects file with the reason. A book without a price is not for sale. The shop may be
    /// running.
    ///
    /// Exits with 0 when every record was taken, 2 when some were rejected, 3 when all were.
    Import(Import),

    /// Rebuild what was derived from events, and compare it with what was there
    ///
    /// Exits with 1 when they differed.
    Replay {
        #[command(subcommand)]
        what: Replay,
    },

    /// Hold orders, payments, the provider's books and the ledger against each other
    ///
    /// Prints a line for each difference; exits with 1 when there is one.
    Reconcile,

    /// Show the settings in force, secrets hidden
    Config,
}

#[derive(Debug, Subcommand)]
pub enum Replay {
    /// The orders' read model
    Orders,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Roles to run, with commas between them [default: all]
    #[arg(long, value_delimiter = ',', value_name = "ROLE,...")]
    roles: Vec<String>,

    /// The address to listen on; port 0 takes any free port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,

    /// Start with an empty catalogue
    #[arg(long)]
    no_demo: bool,
}

#[derive(Debug, Args)]
pub struct Import {
    /// The file
    pub file: PathBuf,

    /// Tell what would be added, changed and passed over, and write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Which column says what, where its name does not tell: title=Name,price="Regular price"
    #[arg(long = "map", value_name = "FIELD=COLUMN,...")]
    pub map: Vec<String>,

    /// How the file's letters are encoded, such as windows-1250 [default: found out]
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<String>,

    /// Where records that cannot be used go [default: FILE.rejects.jsonl]
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,

    /// Where everything that was rejected or adjusted is told, as CSV [default: FILE.report.csv]
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// Show the log as well
    #[arg(long, short)]
    pub verbose: bool,
}

impl Arguments {
    /// Where the settings come from.
    pub fn sources(&self) -> Sources {
        let mut sources = Sources::new().environment();
        if let Some(file) = &self.config {
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
        sources
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
}
