//! Group commit for SQLite.
//!
//! SQLite admits one writer, and a durable commit costs a flush of the disk. So units of work queue up, run one after
//! the other inside one transaction, each in a savepoint of its own, and share one commit: under load the flush is
//! paid once for many. Nobody hears `Ok` before that commit is on disk. A unit that fails undoes its savepoint alone.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures::{FutureExt, future::BoxFuture};
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    DbError, Result,
    tx::{Hooks, LIMIT, TOO_LONG, Tx},
};

/// The most units that share a commit: bounds how long the first of them waits for the last.
const MAX_BATCH: usize = 128;
/// How many units may wait before callers are slowed down.
const QUEUE: usize = 4096;

/// Told whether the shared commit is durable; passes the unit's result on to its caller.
type Answer = Box<dyn FnOnce(Result<()>) + Send>;
/// Runs one unit; says whether to keep it, and how to answer.
type Job = Box<dyn for<'t> FnOnce(&'t Tx) -> BoxFuture<'t, (bool, Answer)> + Send>;

enum Order {
    Run(Job),
    Close(oneshot::Sender<()>),
}

#[derive(Clone, Debug)]
pub(crate) struct GroupCommitter {
    queue: mpsc::Sender<Order>,
    name: Arc<str>,
}

impl GroupCommitter {
    /// Takes over the only connection that writes.
    pub(crate) fn start(name: Arc<str>, writer: DatabaseConnection) -> Self {
        let (queue, orders) = mpsc::channel(QUEUE);
        tokio::spawn(write(name.clone(), writer, orders));
        Self { queue, name }
    }

    pub(crate) async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: for<'t> FnOnce(&'t Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |tx| {
            async move {
                let result = work(tx).await;
                let keep = result.is_ok();
                let answer: Answer = Box::new(move |committed| {
                    // The caller may have stopped waiting; its work is done all the same.
                    let _ = reply.send(committed.map_err(E::from).and(result));
                });
                (keep, answer)
            }
            .boxed()
        });
        let gone = || E::from(DbError::Aborted("it panicked, took longer than 10 s, or the database is closed"));
        self.queue.send(Order::Run(job)).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Order::Close(done)).await.is_ok() && closed.await.is_err() {
            tracing::warn!(database = %self.name, "the writer ended before it was closed");
        }
    }
}

async fn write(name: Arc<str>, writer: DatabaseConnection, mut orders: mpsc::Receiver<Order>) {
    let mut closing = None;
    while closing.is_none() {
        let Some(first) = orders.recv().await else { break };
        match first {
            Order::Run(job) => closing = batch(&name, &writer, job, &mut orders).await,
            Order::Close(done) => closing = Some(done),
        }
    }
    if let Err(error) = writer.close().await {
        tracing::warn!(database = %name, %error, "closing the writer failed");
    }
    if let Some(done) = closing {
        let _ = done.send(());
    }
}

/// Runs `first` and what queues up behind it, then commits once. Returns the order to close, if it came meanwhile.
async fn batch(
    name: &Arc<str>,
    writer: &DatabaseConnection,
    first: Job,
    orders: &mut mpsc::Receiver<Order>,
) -> Option<oneshot::Sender<()>> {
    let started = Instant::now();
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    // A job that is dropped unrun answers its caller with `Aborted`.
    let outer = match writer.begin_with_options(options).await {
        Ok(outer) => outer,
        Err(error) => {
            tracing::error!(database = %name, %error, "cannot begin a transaction");
            return None;
        }
    };
    if orders.is_empty() {
        alone(name, outer, first, started).await;
        return None;
    }
    let (mut answers, mut hooks, mut closing, mut units) = (Vec::new(), Vec::new(), None, 0_u32);
    let mut next = Some(first);
    while let Some(job) = next.take() {
        units += 1;
        match unit(&outer, job).await {
            Ok((answer, after)) => {
                answers.push(answer);
                hooks.extend(after);
            }
            Err(error) => {
                tracing::error!(database = %name, error = &error as &dyn std::error::Error, "a unit of work was undone")
            }
        }
        if answers.len() < MAX_BATCH {
            match orders.try_recv() {
                Ok(Order::Run(job)) => next = Some(job),
                Ok(Order::Close(done)) => closing = Some(done),
                Err(_) => {}
            }
        }
    }
    let committed = outer.commit().await.map_err(DbError::from);
    count(name, units, started);
    match &committed {
        Ok(()) => hooks.into_iter().for_each(Hooks::run),
        Err(error) => tracing::error!(database = %name, error = error as &dyn std::error::Error, "a commit failed"),
    }
    for answer in answers {
        answer(committed.clone());
    }
    closing
}

/// Runs a unit that nobody else waits behind: the transaction is its own, and it needs no savepoint in it.
async fn alone(name: &Arc<str>, outer: DatabaseTransaction, job: Job, started: Instant) {
    let ended = match run(Tx::new(outer, DbBackend::Sqlite), job).await {
        Ok((answer, hooks)) => {
            if let Some(hooks) = hooks {
                hooks.run();
            }
            answer(Ok(()));
            Ok(())
        }
        Err(error) => Err(error),
    };
    count(name, 1, started);
    if let Err(error) = ended {
        tracing::error!(database = %name, error = &error as &dyn std::error::Error, "a unit of work was undone");
    }
}

fn count(name: &Arc<str>, units: u32, started: Instant) {
    metrics::histogram!("db_commit_seconds", "database" => name.to_string()).record(started.elapsed().as_secs_f64());
    metrics::counter!("db_units_total", "database" => name.to_string()).increment(u64::from(units));
    metrics::counter!("db_commits_total", "database" => name.to_string()).increment(1);
}

/// Runs one unit in a savepoint.
async fn unit(outer: &DatabaseTransaction, job: Job) -> Result<(Answer, Option<Hooks>)> {
    run(Tx::new(outer.begin().await?, DbBackend::Sqlite), job).await
}

/// Runs one unit and keeps or undoes what it did. When keeping fails, its caller hears `Aborted`.
async fn run(tx: Tx, job: Job) -> Result<(Answer, Option<Hooks>)> {
    let outcome = tokio::time::timeout(LIMIT, AssertUnwindSafe(job(&tx)).catch_unwind()).await;
    match outcome {
        Ok(Ok((true, answer))) => {
            let hooks = tx.commit().await?;
            Ok((answer, Some(hooks)))
        }
        Ok(Ok((false, answer))) => {
            tx.rollback().await?;
            Ok((answer, None))
        }
        Ok(Err(panic)) => {
            tx.rollback().await?;
            tracing::error!(panic = message(&*panic), "a unit of work panicked");
            Err(DbError::Aborted("it panicked"))
        }
        Err(_) => {
            tx.rollback().await?;
            Err(DbError::Aborted(TOO_LONG))
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}
