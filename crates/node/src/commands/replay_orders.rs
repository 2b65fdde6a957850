use std::fmt;

use bookworm_config::Settings;
use bookworm_ordering::ReplayReport;

use super::books;
use crate::foundation::{Addresses, Foundation, Owner};

/// What a replay of the orders found.
#[derive(Debug)]
pub struct Replayed(ReplayReport);

impl Replayed {
    /// Whether what was there is what the events say.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.0.differing.is_empty()
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for differing in &self.0.differing {
            writeln!(f, "{differing}; repaired")?;
        }
        write!(f, "{} orders rebuilt from {} events, ", self.0.orders, self.0.events)?;
        match self.0.differing.len() {
            0 => f.write_str("all equal to what was there"),
            wrong => write!(f, "{wrong} differed and were repaired"),
        }
    }
}

/// Folds every order again and compares it with its row.
///
/// # Errors
/// When the database cannot be used.
pub async fn replay_orders(settings: Settings) -> anyhow::Result<Replayed> {
    let addresses = Addresses::of(&settings);
    let foundation = Foundation::open(settings, addresses, Owner::Reader, Vec::new()).await?;
    let ordering = books::ordering(&foundation).await?;
    let report = ordering.replay().await?;
    ordering.db().close().await;
    Ok(Replayed(report))
}
