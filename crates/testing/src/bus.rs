use std::{sync::Arc, time::Duration};

use bookworm_kernel::{Cause, Clock, SystemClock};
use bookworm_messaging::{DbBus, Envelope, Message, SharedBus};

use crate::TestDatabases;

/// How long a consumer of [`bus`] has for a message before another gets it.
pub const LEASE: Duration = Duration::from_secs(30);

/// The embedded bus, in the database `bus` of the test.
///
/// # Panics
/// When it cannot be opened.
pub async fn bus(home: &TestDatabases, clock: Arc<dyn Clock>) -> SharedBus {
    let db = home.databases.open("bus").await.unwrap();
    Arc::new(DbBus::open(db, clock, LEASE).await.unwrap())
}

/// Publishes a message that nothing else caused.
///
/// # Panics
/// When the bus refuses it.
pub async fn publish(bus: &SharedBus, message: &impl Message) {
    let envelope = Envelope::new(message, &Cause::start(), SystemClock.now()).unwrap();
    bus.publish(&[envelope]).await.unwrap();
}
