use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use bookworm_config::Settings;
use bookworm_node::commands::{self, ImportMapping, ImportOptions, ImportProgress, ImportReport};
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

use crate::arguments::Import;

/// How often a line is printed when standard error is not a terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Lines of each kind that are shown; all of them are in the report.
const SHOWN: usize = 10;
/// Some records were rejected.
const SOME_REJECTED: u8 = 2;
/// All were, or there is none.
const ALL_REJECTED: u8 = 3;

/// Imports a file and prints what it did.
pub async fn run(settings: Settings, import: Import) -> anyhow::Result<ExitCode> {
    let beside = |chosen: Option<PathBuf>, ending: &str| {
        chosen.unwrap_or_else(|| {
            let mut name = import.file.clone().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        })
    };
    let rejects = beside(import.rejects.clone(), ".rejects.jsonl");
    let report = beside(import.report.clone(), ".report.csv");
    // Before a shop is made for it.
    std::fs::File::open(&import.file).with_context(|| format!("cannot read {}", import.file.display()))?;
    let mapping = ImportMapping::parse(&import.map.join(",")).map_err(|wrong| anyhow::anyhow!("--map: {wrong}"))?;
    let command = commands::Import {
        file: &import.file,
        options: ImportOptions { mapping, encoding: import.encoding.clone(), ..ImportOptions::default() },
        dry_run: import.dry_run,
        rejects: &rejects,
        report: &report,
    };
    let mut shown = Shown::new();
    let done = commands::import(settings, command, |progress| shown.update(progress)).await;
    shown.finish();
    let done = done.with_context(|| format!("cannot import {}", import.file.display()))?;
    crate::print(&summary(&done, &rejects, &report));
    Ok(match done.rejected {
        _ if done.is_fruitless() => ExitCode::from(ALL_REJECTED),
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(SOME_REJECTED),
    })
}

/// What is printed at the end.
fn summary(done: &ImportReport, rejects: &Path, report: &Path) -> String {
    let mut text = String::new();
    let mut say = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    let plan = &done.plan;
    let program = plan.program.map(|program| format!(", as {} exports it", program.name())).unwrap_or_default();
    if done.dry_run {
        say(format!("{}; {}{program}", plan.format, plan.encoding));
        for column in plan.columns.iter().filter(|column| column.field.is_some()) {
            let field = column.field.map(|field| field.name()).unwrap_or_default();
            let example = column.example.as_deref().map(|value| format!("   e.g. {value}")).unwrap_or_default();
            say(format!("  {field:<13} <- {}{example}", column.name));
        }
    }
    let ignored: Vec<&str> = plan.ignored().collect();
    if !ignored.is_empty() {
        say(format!("Columns passed over: {}", ignored.join(", ")));
    }
    if done.records > 0 && !done.has_prices {
        say("No column is understood as the price: new books are not for sale. Name it with --map price=COLUMN."
            .to_owned());
    }
    if done.records > 0 && !done.has_stock {
        say("No column is understood as the stock: new books have no copies. Name it with --map stock=COLUMN."
            .to_owned());
    }
    for reject in done.rejects.iter().take(SHOWN) {
        say(format!("rejected: line {}: {}", reject.note.line, reject.reason()));
    }
    more(&mut say, done.rejected, "rejected");
    for note in done.notes.iter().take(SHOWN) {
        say(format!("adjusted: {note}"));
    }
    more(&mut say, done.adjusted, "adjusted");
    if done.records == 0 {
        say("There is no book in the file.".to_owned());
    }
    let (added, changed, unchanged, rejected) = (done.added, done.changed, done.unchanged, done.rejected);
    if done.dry_run {
        say(format!(
            "{added} would be added, {changed} changed, {unchanged} left as they are, {rejected} rejected; nothing was written"
        ));
    } else {
        let seconds = done.seconds;
        say(format!("{added} added, {changed} changed, {unchanged} unchanged, {rejected} rejected in {seconds:.1} s"));
    }
    if done.not_for_sale > 0 {
        say(format!("{} of the new books: not for sale, for want of a price", done.not_for_sale));
    }
    if done.without_stock > 0 && done.has_stock {
        say(format!("{} of the new books: no copies, since the file does not say how many", done.without_stock));
    }
    if rejected > 0 {
        say(format!("see {} for the rejected records and the reasons", rejects.display()));
    }
    if rejected + done.adjusted > 0 {
        say(format!("see {} for all that was rejected or adjusted, line by line", report.display()));
    }
    text
}

fn more(say: &mut impl FnMut(String), all: u64, what: &str) {
    if all > SHOWN as u64 {
        say(format!("{what}: {} more", all - SHOWN as u64));
    }
}

/// A progress bar on a terminal, plain lines elsewhere.
enum Shown {
    Bar(ProgressBar),
    Lines { started: Instant, printed: Instant },
}

impl Shown {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { started: Instant::now(), printed: Instant::now() };
        }
        let style = ProgressStyle::with_template("{bar:30} {percent}% {msg}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::new(0).with_style(style))
    }

    fn update(&mut self, progress: ImportProgress) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(progress.total_bytes);
                bar.set_position(progress.read_bytes);
                bar.set_message(format!("{} books, {:.0}/s", progress.done, rate(progress.done, bar.elapsed())));
            }
            Self::Lines { started, printed } => {
                if printed.elapsed() < LINE_EVERY {
                    return;
                }
                *printed = Instant::now();
                let elapsed = started.elapsed();
                let share = progress.read_bytes as f64 / progress.total_bytes.max(1) as f64;
                let left = elapsed.mul_f64((1.0 - share).max(0.0) / share.max(0.001));
                eprintln!(
                    "{} books, {:.0}/s, {} of {}, {} left",
                    progress.done,
                    rate(progress.done, elapsed),
                    HumanBytes(progress.read_bytes),
                    HumanBytes(progress.total_bytes),
                    HumanDuration(left)
                );
            }
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn rate(books: u64, elapsed: Duration) -> f64 {
    books as f64 / elapsed.as_secs_f64().max(0.001)
}
