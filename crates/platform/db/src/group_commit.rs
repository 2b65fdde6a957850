//! Group commit for SQLite.
//!
//! SQLite admits one writer, and a durable commit costs a flush of the disk. So units of work queue up, run one after
//! the other inside one transaction, each in a savepoint of its own, and share one commit: under load the flush is
//! paid once for many. Nobody gets `Ok` before that commit is on disk. A unit that fails undoes its savepoint alone.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use futures::{FutureExt, executor::block_on, future::BoxFuture};
use tokio::sync::{mpsc, oneshot};

use crate::{
    DbError, Result,
    sqlite_writer::SqliteWriter,
    tx::{Hooks, Limit, Tx},
};

/// The most units that share a commit: bounds how long the first of them waits for the last.
const MAX_BATCH: usize = 128;
/// How many units may wait before callers are slowed down.
const QUEUE: usize = 4096;

/// Gets whether the shared commit is durable, and passes the unit's result on to its caller.
type Answer = Box<dyn FnOnce(Result<()>) + Send>;
/// Runs one unit, or refuses it where no transaction can begin; returns whether to commit it, and how to answer.
type Job = Box<dyn for<'t> FnOnce(Result<&'t Tx>) -> BoxFuture<'t, (bool, Answer)> + Send>;

enum Order {
    Run(Limit, Job),
    Close(oneshot::Sender<()>),
}

#[derive(Clone, Debug)]
pub(crate) struct GroupCommitter {
    queue: mpsc::Sender<Order>,
    name: Arc<str>,
}

impl GroupCommitter {
    /// Takes over the only connection that writes.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(name: Arc<str>, writer: SqliteWriter) -> std::io::Result<Self> {
        let (queue, orders) = mpsc::channel(QUEUE);
        let (runtime, database) = (tokio::runtime::Handle::current(), name.clone());
        std::thread::Builder::new().name(format!("{name} writer")).spawn(move || {
            let _timers = runtime.enter();
            write(&database, writer, orders);
        })?;
        Ok(Self { queue, name })
    }

    pub(crate) async fn run<T, E, F>(&self, limit: Limit, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: for<'t> FnOnce(&'t Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |tx| {
            async move {
                let result = match tx {
                    Ok(tx) => work(tx).await,
                    Err(error) => Err(E::from(error)),
                };
                let commit = result.is_ok();
                let answer: Answer = Box::new(move |committed| {
                    // The caller may have stopped waiting; its work is done all the same.
                    let _ = reply.send(result.and_then(|value| committed.map(|()| value).map_err(E::from)));
                });
                (commit, answer)
            }
            .boxed()
        });
        let gone = || E::from(DbError::Aborted("it panicked, took longer than 10 s, or the database is closed"));
        self.queue.send(Order::Run(limit, job)).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Order::Close(done)).await.is_ok() && closed.await.is_err() {
            tracing::warn!(database = %self.name, "the writer ended before it was closed");
        }
    }
}

fn write(name: &Arc<str>, writer: SqliteWriter, mut orders: mpsc::Receiver<Order>) {
    let writer = Arc::new(writer);
    let mut closing = None;
    while closing.is_none() {
        closing = match orders.blocking_recv() {
            Some(Order::Run(limit, job)) => batch(name, &writer, (limit, job), &mut orders),
            Some(Order::Close(done)) => Some(done),
            None => break,
        };
    }
    drop(writer);
    if let Some(done) = closing {
        let _ = done.send(());
    }
}

/// Runs `first` and what queues up behind it, then commits once. Returns the order to close, if it came meanwhile.
fn batch(
    name: &Arc<str>,
    writer: &Arc<SqliteWriter>,
    first: (Limit, Job),
    orders: &mut mpsc::Receiver<Order>,
) -> Option<oneshot::Sender<()>> {
    let started = Instant::now();
    if let Err(error) = writer.control("BEGIN IMMEDIATE") {
        tracing::error!(database = %name, error = &error as &dyn std::error::Error, "cannot begin a transaction");
        let (_, answer) = block_on(first.1(Err(error)));
        answer(Ok(()));
        return None;
    }
    let (mut answers, mut hooks, mut closing, mut units) = (Vec::new(), Vec::new(), None, 0_u32);
    let mut next = Some(first);
    while let Some((limit, job)) = next.take() {
        units += 1;
        match unit(writer, limit, job) {
            Ok((answer, after)) => {
                answers.push(answer);
                hooks.extend(after);
            }
            Err(error) => {
                tracing::error!(database = %name, error = &error as &dyn std::error::Error, "a unit of work was undone")
            }
        }
        if answers.len() < MAX_BATCH && writer.in_transaction() {
            match orders.try_recv() {
                Ok(Order::Run(limit, job)) => next = Some((limit, job)),
                Ok(Order::Close(done)) => closing = Some(done),
                Err(_) => {}
            }
        }
    }
    let committed = if writer.in_transaction() {
        // Nothing of it may be left open for the next batch.
        writer.control("COMMIT").inspect_err(|_| drop(writer.control("ROLLBACK")))
    } else {
        let aborted = DbError::Aborted("SQLite undid the transaction: a statement took too long");
        Err(writer.take_outage().unwrap_or(aborted))
    };
    metrics::histogram!("db_commit_seconds", "database" => name.to_string()).record(started.elapsed().as_secs_f64());
    metrics::counter!("db_units_total", "database" => name.to_string()).increment(u64::from(units));
    metrics::counter!("db_commits_total", "database" => name.to_string()).increment(1);
    match &committed {
        Ok(()) => hooks.into_iter().for_each(Hooks::run),
        Err(error) => tracing::error!(database = %name, error = error as &dyn std::error::Error, "a commit failed"),
    }
    for answer in answers {
        answer(committed.clone());
    }
    closing
}

/// Runs one unit in a savepoint, and releases it or rolls back to it.
fn unit(writer: &Arc<SqliteWriter>, limit: Limit, job: Job) -> Result<(Answer, Option<Hooks>)> {
    writer.control("SAVEPOINT unit")?;
    let tx = Tx::sqlite(writer.clone());
    writer.limit(Some(limit.after));
    // Statements run where they are called, so the unit is most often done at the first poll.
    let outcome = block_on(tokio::time::timeout(limit.after, AssertUnwindSafe(job(Ok(&tx))).catch_unwind()));
    writer.limit(None);
    let undo = || match writer.in_transaction() {
        true => writer.control("ROLLBACK TO unit").and_then(|()| writer.control("RELEASE unit")),
        false => Ok(()),
    };
    match outcome {
        Ok(Ok((true, answer))) if writer.in_transaction() => {
            writer.control("RELEASE unit")?;
            Ok((answer, Some(tx.into_hooks())))
        }
        Ok(Ok((_, answer))) => {
            undo()?;
            Ok((answer, None))
        }
        Ok(Err(panic)) => {
            undo()?;
            tracing::error!(panic = message(&*panic), "a unit of work panicked");
            Err(DbError::Aborted("it panicked"))
        }
        Err(_) => {
            undo()?;
            Err(DbError::Aborted(limit.exceeded))
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}
