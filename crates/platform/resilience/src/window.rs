use std::time::Duration;

use tokio::time::Instant;

/// How many parts a window has: it is exact to a tenth of its span, whatever the number of calls.
const SLOTS: usize = 10;

/// Counts what happened within a sliding span of time, and how much of it was marked, such as failures among calls.
#[derive(Debug, Clone)]
pub struct Window {
    slot: Duration,
    origin: Instant,
    slots: [Slot; SLOTS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Which part of the time since `origin` this counts.
    number: u64,
    counts: Counts,
}

/// What a [`Window`] counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub all: u32,
    /// Those that were marked.
    pub marked: u32,
}

impl Window {
    /// An empty window of this span.
    #[must_use]
    pub fn new(span: Duration) -> Self {
        let slot = (span / SLOTS as u32).max(Duration::from_nanos(1));
        Self { slot, origin: Instant::now(), slots: [Slot::default(); SLOTS] }
    }

    /// Counts one more.
    pub fn add(&mut self, marked: bool) {
        let counts = self.now();
        counts.all = counts.all.saturating_add(1);
        counts.marked = counts.marked.saturating_add(u32::from(marked));
    }

    /// Marks one that was counted before.
    pub fn mark(&mut self) {
        let counts = self.now();
        counts.marked = counts.marked.saturating_add(1);
    }

    /// What was counted within the span.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let now = self.number();
        let recent = self.slots.iter().filter(|slot| slot.number + SLOTS as u64 > now);
        recent.fold(Counts::default(), |sum, slot| Counts {
            all: sum.all.saturating_add(slot.counts.all),
            marked: sum.marked.saturating_add(slot.counts.marked),
        })
    }

    fn number(&self) -> u64 {
        (self.origin.elapsed().as_nanos() / self.slot.as_nanos()) as u64
    }

    fn now(&mut self) -> &mut Counts {
        let number = self.number();
        let slot = &mut self.slots[(number % SLOTS as u64) as usize];
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        &mut slot.counts
    }
}

impl Counts {
    /// The share of those that were marked: 0 to 1, and 0 of none.
    #[must_use]
    pub fn rate(self) -> f64 {
        if self.all == 0 { 0.0 } else { f64::from(self.marked) / f64::from(self.all) }
    }
}
