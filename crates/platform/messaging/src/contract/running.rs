use std::{sync::Arc, time::Duration};

use bookworm_kernel::{Clock, SystemClock};
use bookworm_loops::Loop;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Consumer, OutboxSource, Policy, SharedBus, relay};

/// How long a task may take to end once it is asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// What runs beside a test: consumers, relays, loops. When it is dropped, everything is asked to stop.
#[derive(Debug, Default)]
pub struct Running {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a consumer.
    pub fn consumer(&mut self, consumer: Consumer, bus: &SharedBus, clock: Arc<dyn Clock>, policy: Policy) {
        self.tasks.push(tokio::spawn(consumer.run(bus.clone(), clock, policy, self.stop.clone())));
    }

    /// Starts to publish what is in an outbox.
    pub fn relay(&mut self, outbox: Arc<dyn OutboxSource>, bus: &SharedBus) {
        self.tasks.push(tokio::spawn(relay(outbox, bus.clone(), Arc::new(SystemClock), self.stop.clone())));
    }

    /// Starts a loop, without supervision: its panic fails the test in [`stop`](Self::stop).
    pub fn work(&mut self, work: &Loop) {
        self.tasks.push(tokio::spawn(work.run(self.stop.clone())));
    }

    /// Asks everything to stop, and does not wait for it.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Asks everything to stop and waits until it has.
    ///
    /// # Panics
    /// When a task panicked, or has not ended after a minute.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            tokio::time::timeout(STOP_TIMEOUT, task).await.expect("it stops when it is asked to").unwrap();
        }
    }

    /// Ends everything wherever it is, as a crash does.
    pub async fn kill(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // The error says that it was aborted.
            let _ = task.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
