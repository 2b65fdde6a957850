//! What staff may do with an uploaded file, by how far it is.

/// What staff want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Name its columns, and have it checked again.
    Map,
    /// Start it, or go on with it.
    Start,
    Cancel,
    /// Remove it with its report.
    Discard,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is so already.
    Stays,
    /// It gets this status.
    Becomes(&'static str),
    Gone,
}

impl Step {
    /// What becomes of an import with this status that has dealt with so many records.
    ///
    /// # Errors
    /// Why that cannot be, for people.
    pub(crate) fn of(self, status: &str, records: u64) -> Result<Next, &'static str> {
        match (self, status) {
            (Self::Map, "checking" | "ready" | "unreadable") => Ok(Next::Becomes("checking")),
            (Self::Map, _) => Err("This import was started already; its columns stay as they are."),
            (Self::Start, "queued" | "running") => Ok(Next::Stays),
            (Self::Start, "ready" | "failed" | "cancelled") => Ok(Next::Becomes("queued")),
            (Self::Start, "checking") => Err("This file is still being checked."),
            (Self::Start, "done") => Err("This import is done."),
            (Self::Start, _) => Err("This file cannot be read."),
            (Self::Cancel, "cancelled") => Ok(Next::Stays),
            // One that wrote nothing yet waits as before.
            (Self::Cancel, "queued") if records == 0 => Ok(Next::Becomes("ready")),
            (Self::Cancel, "queued" | "running") => Ok(Next::Becomes("cancelled")),
            (Self::Cancel, _) => Err("This import does not run."),
            (Self::Discard, "queued" | "running") => Err("This import runs. Cancel it first."),
            (Self::Discard, _) => Ok(Next::Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 8] = ["checking", "unreadable", "ready", "queued", "running", "done", "failed", "cancelled"];

    #[test]
    fn every_step_from_every_status() {
        let allowed = |step: Step| ALL.into_iter().filter(|status| step.of(status, 1).is_ok()).collect::<Vec<_>>();
        assert_eq!(allowed(Step::Map), ["checking", "unreadable", "ready"]);
        assert_eq!(allowed(Step::Start), ["ready", "queued", "running", "failed", "cancelled"]);
        assert_eq!(allowed(Step::Cancel), ["queued", "running", "cancelled"]);
        assert_eq!(allowed(Step::Discard), ["checking", "unreadable", "ready", "done", "failed", "cancelled"]);
    }

    #[test]
    fn what_runs_is_never_started_twice_and_what_wrote_nothing_was_never_cancelled() {
        assert_eq!(Step::Start.of("running", 5), Ok(Next::Stays));
        assert_eq!(Step::Start.of("cancelled", 5), Ok(Next::Becomes("queued")));
        assert_eq!(Step::Cancel.of("queued", 0), Ok(Next::Becomes("ready")));
        assert_eq!(Step::Cancel.of("queued", 5), Ok(Next::Becomes("cancelled")));
        assert_eq!(Step::Cancel.of("cancelled", 5), Ok(Next::Stays));
    }
}
