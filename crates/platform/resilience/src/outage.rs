use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How often the log hears that an outage goes on.
const REPEAT_AFTER: Duration = Duration::from_secs(10 * 60);
/// How long nothing may fail before an outage is over: where some attempts succeed and some fail, each success would end
/// one and each failure begin another.
const OVER_AFTER: Duration = Duration::from_secs(10);

/// What the log should say of one thing that may stop answering: when it stops, each ten minutes how much has failed, and
/// when it answers and nothing has failed for ten seconds. A caller that tries every second fills no log, nor does a thing
/// that answers every other time.
#[derive(Debug, Default)]
pub struct Outage(Mutex<Option<Ongoing>>);

#[derive(Debug)]
struct Ongoing {
    began: Instant,
    said: Instant,
    last: Instant,
    failed: u64,
    /// Whether the last attempt failed.
    on: bool,
}

/// What should be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// It has just stopped answering.
    Began,
    /// It still does not answer.
    GoesOn {
        /// Attempts since it stopped.
        failed: u64,
    },
    /// It answers again, and nothing has failed for ten seconds.
    Ended {
        /// Attempts that failed.
        failed: u64,
        /// From the first attempt that failed to the last.
        lasted: Duration,
    },
}

impl Outage {
    /// An attempt failed.
    pub fn failed(&self) -> Option<Note> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let Some(ongoing) = state.as_mut() else {
            *state = Some(Ongoing { began: now, said: now, last: now, failed: 1, on: true });
            return Some(Note::Began);
        };
        (ongoing.last, ongoing.on) = (now, true);
        ongoing.failed += 1;
        if now.saturating_duration_since(ongoing.said) < REPEAT_AFTER {
            return None;
        }
        ongoing.said = now;
        Some(Note::GoesOn { failed: ongoing.failed })
    }

    /// Whether the last attempt failed.
    pub fn is_on(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|ongoing| ongoing.on)
    }

    /// It answered.
    pub fn answered(&self) -> Option<Note> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ongoing = state.as_mut()?;
        ongoing.on = false;
        if ongoing.last.elapsed() < OVER_AFTER {
            return None;
        }
        let note = Note::Ended { failed: ongoing.failed, lasted: ongoing.last.duration_since(ongoing.began) };
        *state = None;
        Some(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_noted_when_it_begins_each_ten_minutes_and_when_it_ends() {
        let outage = Outage::default();
        assert_eq!(outage.answered(), None);
        let mut notes = Vec::new();
        // A failure each two seconds for 25 minutes.
        for _ in 0..750 {
            notes.extend(outage.failed());
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        assert_eq!(notes, [Note::Began, Note::GoesOn { failed: 301 }, Note::GoesOn { failed: 601 }]);
        assert!(outage.is_on());
        assert_eq!((outage.answered(), outage.is_on()), (None, false), "it may fail again at once");
        tokio::time::advance(OVER_AFTER).await;
        assert_eq!(outage.answered(), Some(Note::Ended { failed: 750, lasted: Duration::from_secs(1498) }));
        assert_eq!((outage.answered(), outage.is_on()), (None, false));
        assert_eq!(outage.failed(), Some(Note::Began));
    }

    #[tokio::test(start_paused = true)]
    async fn what_answers_every_other_time_fills_no_log() {
        let (outage, mut notes) = (Outage::default(), Vec::new());
        for _ in 0..1200 {
            notes.extend(outage.failed());
            notes.extend(outage.answered());
            tokio::time::advance(Duration::from_secs(1)).await;
            notes.extend(outage.answered());
        }
        assert_eq!(notes, [Note::Began, Note::GoesOn { failed: 601 }]);
        tokio::time::advance(OVER_AFTER).await;
        assert_eq!(outage.answered(), Some(Note::Ended { failed: 1200, lasted: Duration::from_secs(1199) }));
    }
}
