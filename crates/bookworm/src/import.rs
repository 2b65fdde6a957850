use std::{
    io::IsTerminal,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use bookworm_config::Settings;
use bookworm_node::commands::{self, ImportProgress};
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

use crate::arguments::Import;

/// How often a line is printed when standard error is not a terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Imports a file and tells how it went.
pub async fn run(settings: Settings, import: Import) -> anyhow::Result<ExitCode> {
    let rejects = import.rejects.unwrap_or_else(|| {
        let mut name = import.file.clone().into_os_string();
        name.push(".rejects.jsonl");
        PathBuf::from(name)
    });
    let mut shown = Shown::new();
    let report = commands::import(settings, &import.file, &rejects, |progress| shown.update(progress))
        .await
        .with_context(|| format!("cannot import {}", import.file.display()))?;
    shown.finish();
    crate::print(&format!(
        "{} added, {} changed, {} unchanged, {} rejected in {:.1} s\n",
        report.added, report.changed, report.unchanged, report.rejected, report.seconds
    ));
    if report.warnings > 0 {
        crate::print(&format!("{} details were adjusted, such as an ISBN that another book has\n", report.warnings));
    }
    if report.rejected > 0 {
        crate::print(&format!("see {} for the rejected lines and the reasons\n", rejects.display()));
    }
    Ok(ExitCode::SUCCESS)
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
