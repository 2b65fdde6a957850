use axum::Router;
use bookworm_db::Db;
use bookworm_gateway::Note;
use bookworm_messaging::{Consumer, Outbox};
use futures::future::BoxFuture;
use utoipa_axum::router::OpenApiRouter;

/// What one role brings into the process.
#[derive(Default)]
pub struct Part {
    /// Its routes below `/api/v1`.
    pub api: OpenApiRouter,
    /// Its routes elsewhere.
    pub others: Router,
    /// Its databases; each is asked by `/health/ready`.
    pub dbs: Vec<Db>,
    /// What `/health/ready` shows of parts that the shop can do without.
    pub notes: Vec<(&'static str, Note)>,
    /// The outboxes to carry to the bus.
    pub outboxes: Vec<(Db, Outbox)>,
    /// Its reactions to other services' messages.
    pub consumers: Vec<Consumer>,
    /// Its loops; each ends when the process shuts down.
    pub workers: Vec<BoxFuture<'static, ()>>,
    /// What it does once the public API is there to be called.
    pub on_api: Vec<Box<dyn FnOnce(Router) + Send>>,
    /// What it does when the process begins to end, while requests in flight are finished.
    pub on_stop: Vec<BoxFuture<'static, ()>>,
}

impl Part {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.api = self.api.merge(other.api);
        self.others = self.others.merge(other.others);
        self.dbs.extend(other.dbs);
        self.notes.extend(other.notes);
        self.outboxes.extend(other.outboxes);
        self.consumers.extend(other.consumers);
        self.workers.extend(other.workers);
        self.on_api.extend(other.on_api);
        self.on_stop.extend(other.on_stop);
        self
    }
}
