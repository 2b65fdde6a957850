use std::{convert::Infallible, sync::Arc};

use axum::Router;
use bookworm_db::Db;
use bookworm_gateway::{Check, Note};
use bookworm_loops::Loop;
use bookworm_messaging::{Consumer, Inbox, OutboxSource};
use bookworm_monitor::Own;
use bookworm_rpc::Transport;
use futures::future::BoxFuture;
use tonic::server::NamedService;
use tower::Service;
use utoipa_axum::router::OpenApiRouter;

use crate::{FirstAdmin, Role};

/// Makes the pages, given the API that they call.
pub type Pages = Box<dyn FnOnce(Router) -> Router + Send>;

/// What an instance of the catalogue can do once its index is whole.
pub const SEARCH: &str = "search";

/// What an instance of a role can do that not every instance can, or not at every time.
#[derive(Clone)]
pub struct Capability {
    /// The role.
    pub role: Role,
    /// As it is announced.
    pub name: &'static str,
    /// Whether it can now.
    pub is_there: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// What one role brings into the process.
#[derive(Default)]
pub struct Part {
    /// Its HTTP routes below `/api/v1`.
    pub api: OpenApiRouter,
    /// Its HTTP routes elsewhere.
    pub others: Router,
    /// Its HTTP routes for the shop's other processes alone.
    pub processes: Router,
    /// What other roles ask of it.
    pub grpc: Vec<Grpc>,
    /// Where its data is.
    pub stores: Vec<Store>,
    /// What `/health/ready` shows of parts that the shop can do without.
    pub notes: Vec<(&'static str, Note)>,
    /// What it says of itself in the registry.
    pub capabilities: Vec<Capability>,
    /// Its reactions to other services' messages.
    pub consumers: Vec<Consumer>,
    /// Its background loops.
    pub loops: Vec<Loop>,
    /// The pages.
    pub pages: Option<Pages>,
    /// The administrator that it made, if this was the first start.
    pub first_admin: Option<FirstAdmin>,
    /// Whether it made the first administrator, whose password may be in the settings.
    pub made_admin: bool,
    /// How many demonstration books it loaded; `None` when there were books, or none were wanted.
    pub demo_books: Option<u64>,
    /// What it does once the public API is there to be called.
    pub on_api: Vec<Box<dyn FnOnce(Router) + Send>>,
    /// What it does once the process can say how it is.
    pub on_vitals: Vec<Box<dyn FnOnce(Own) + Send>>,
    /// What it does when the process begins to end, while requests in flight are finished.
    pub on_stop: Vec<BoxFuture<'static, ()>>,
}

impl Part {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.api = self.api.merge(other.api);
        self.others = self.others.merge(other.others);
        self.processes = self.processes.merge(other.processes);
        self.grpc.extend(other.grpc);
        self.stores.extend(other.stores);
        self.notes.extend(other.notes);
        self.capabilities.extend(other.capabilities);
        self.consumers.extend(other.consumers);
        self.loops.extend(other.loops);
        self.pages = self.pages.or(other.pages);
        self.first_admin = self.first_admin.or(other.first_admin);
        self.made_admin |= other.made_admin;
        self.demo_books = self.demo_books.or(other.demo_books);
        self.on_api.extend(other.on_api);
        self.on_vitals.extend(other.on_vitals);
        self.on_stop.extend(other.on_stop);
        self
    }
}

/// A store of a role, whatever kind it is.
pub struct Store {
    /// What health checks call it: no two stores of a process share a name.
    pub name: String,
    /// Whether it can take a change.
    pub check: Check,
    /// Where it remembers which messages it has dealt with; `None` when it reacts to none.
    pub inbox: Option<Arc<dyn Inbox>>,
    /// Where its messages wait for the bus; `None` when it publishes none.
    pub outbox: Option<Arc<dyn OutboxSource>>,
    /// Ends its connections, once nothing uses it any more.
    pub close: BoxFuture<'static, ()>,
}

impl Store {
    /// A database without messages. It must take a change: one on a full or read-only disk still answers questions.
    pub fn database(db: &Db) -> Self {
        let (checked, closed) = (db.clone(), db.clone());
        Self {
            name: db.name().to_owned(),
            check: Arc::new(move || {
                let db = checked.clone();
                Box::pin(async move { db.check_write().await.map_err(|error| error.to_string()) })
            }),
            inbox: None,
            outbox: None,
            close: Box::pin(async move { closed.close().await }),
        }
    }

    /// A database with the tables of [`bookworm_messaging::MIGRATIONS`], whose service reacts to messages.
    pub fn with_inbox(db: &Db) -> Self {
        Self { inbox: Some(Arc::new(db.clone())), ..Self::database(db) }
    }

    /// The same, whose service publishes too.
    #[must_use]
    pub fn and_outbox(self, outbox: Arc<dyn OutboxSource>) -> Self {
        Self { outbox: Some(outbox), ..self }
    }
}

/// A gRPC service that a role answers, to be asked in this process or from elsewhere.
#[derive(Clone)]
pub struct Grpc {
    /// Its name in the protocol, e.g. `bookworm.catalog.v1.Catalog`.
    pub name: &'static str,
    /// Straight into the service.
    pub transport: Transport,
}

impl Grpc {
    /// A generated server.
    pub fn new<S>(server: S) -> Self
    where
        S: NamedService
            + Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        Self { name: S::NAME, transport: bookworm_rpc::local(server) }
    }
}
