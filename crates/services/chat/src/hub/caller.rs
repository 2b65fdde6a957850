//! The caller of a method, and how often they may call.

use std::{
    future::Future,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use bookworm_config::Chat as Settings;
use bookworm_http::{
    ClientAddress, Problem, Result,
    auth::{AccountClaims, Role},
};
use bookworm_kernel::{ConversationId, ErrorCode, FieldError, Timestamp};
use bookworm_signalr::{Context, HubError};
use futures::{Stream, StreamExt, future::BoxFuture, stream::BoxStream};

use super::wire::Args;
use crate::{
    domain::{agent::ChatAgent, flood::Bucket, message::Side},
    service::{Chat, conversations::no_such_conversation, presence::Identity},
};

/// Calls of one connection in a burst, other than messages.
const CALLS: u32 = 200;
/// Such calls a minute after that.
const CALLS_PER_MINUTE: u32 = 20 * 60;

/// The limits of one connection.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Mutex<Left>>);

struct Left {
    calls: Bucket,
    messages: Bucket,
}

impl Meter {
    pub fn new(settings: &Settings, now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Left {
            calls: Bucket::new(CALLS, CALLS_PER_MINUTE, now),
            messages: Bucket::new(settings.message_burst, settings.messages_per_minute, now),
        })))
    }
}

/// The caller.
pub(crate) struct Caller(Context<Arc<Chat>>);

impl Deref for Caller {
    type Target = Arc<Chat>;

    fn deref(&self) -> &Arc<Chat> {
        self.0.state()
    }
}

impl Caller {
    /// The connection.
    pub fn connection(&self) -> &str {
        self.0.connection_id()
    }

    /// The account, when they are signed in.
    pub fn account(&self) -> Option<Arc<AccountClaims>> {
        self.0.principal().details::<Identity>().map(|identity| Arc::clone(&identity.account))
    }

    /// The account.
    ///
    /// # Errors
    /// 401 for a guest.
    pub fn signed_in(&self) -> Result<Arc<AccountClaims>> {
        self.account().ok_or_else(|| Problem::new(ErrorCode::Unauthenticated))
    }

    /// The agent, who counts as connected from now on.
    ///
    /// # Errors
    /// 401 for a guest, 403 for everybody who is no agent.
    pub async fn agent(&self) -> Result<ChatAgent> {
        let account = self.signed_in()?;
        if !(account.has(Role::Agent) || account.has(Role::Admin)) {
            return Err(Problem::new(ErrorCode::Forbidden));
        }
        let agent = ChatAgent { id: account.id, name: account.name.clone() };
        self.agent_came(self.connection(), &agent).await?;
        Ok(agent)
    }

    /// Which side of a conversation this connection is attached to.
    ///
    /// # Errors
    /// 404 when it is not.
    pub fn side(&self, conversation: ConversationId) -> Result<Side> {
        self.presence.side(self.connection(), conversation).ok_or_else(no_such_conversation)
    }

    /// Checks that this connection is the customer's.
    ///
    /// # Errors
    /// 404 when it is not.
    pub fn customer_of(&self, conversation: ConversationId) -> Result<()> {
        match self.side(conversation)? {
            Side::Customer => Ok(()),
            Side::Agent => Err(no_such_conversation()),
        }
    }

    /// The network that the client comes from: an IPv4 address, or the first 64 bits of an IPv6 address; empty when it
    /// is not known.
    pub fn network(&self) -> String {
        self.client_address().map_or_else(String::new, |address| address.network().to_string())
    }

    /// The fingerprint of this network, by which mails are counted; empty when it is not known.
    pub fn fingerprint(&self) -> String {
        self.client_address().map_or_else(String::new, ClientAddress::fingerprint)
    }

    /// The gateway sets it anew on every request.
    fn client_address(&self) -> Option<ClientAddress> {
        ClientAddress::forwarded(self.0.request()?.headers())
    }

    /// Counts a message.
    ///
    /// # Errors
    /// 429 when there were too many.
    pub fn charge_message(&self) -> Result<()> {
        self.charge(|left| &mut left.messages, "Too many messages. Please wait a moment.")
    }

    fn charge_call(&self) -> Result<()> {
        self.charge(|left| &mut left.calls, "Too many calls. Please wait a moment.")
    }

    fn charge(&self, bucket: fn(&mut Left) -> &mut Bucket, words: &str) -> Result<()> {
        let meter = self.0.get::<Meter>();
        let now = self.clock.now();
        let there =
            meter.is_some_and(|Meter(left)| bucket(&mut left.lock().unwrap_or_else(PoisonError::into_inner)).take(now));
        if there {
            return Ok(());
        }
        metrics::counter!("chat_flood_total").increment(1);
        Err(Problem::new(ErrorCode::TooManyRequests).detail(words))
    }

    /// Joins a group of connections.
    ///
    /// # Errors
    /// 429 when the connection is in too many.
    pub async fn join(&self, group: &str) -> Result<()> {
        self.0.join(group).await.map_err(|error| match error {
            bookworm_signalr::GroupError::TooMany(_) => Problem::new(ErrorCode::TooManyRequests)
                .detail("This connection is attached to too many conversations."),
            error => Problem::internal(&error),
        })
    }

    /// Leaves a group of connections.
    pub async fn leave(&self, group: &str) -> Result<()> {
        self.0.leave(group).await.map_err(|error| Problem::internal(&error))
    }

    /// Sends to this connection.
    pub async fn send_to_caller(&self, event: &str, argument: impl serde::Serialize + Send + Sync) {
        if let Err(error) = self.0.caller().send(event, (argument,)).await {
            tracing::warn!(event, error = &error as &dyn std::error::Error, "an event was not sent");
        }
    }
}

/// A method with one argument.
pub(crate) fn method<A, R, F, Fut>(
    run: F,
) -> impl Fn(Context<Arc<Chat>>, Args<A>) -> BoxFuture<'static, Result<R, HubError>> + Send + Sync + 'static
where
    A: Send + 'static,
    F: Fn(Caller, A) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<R>> + Send + 'static,
{
    move |context, args| {
        let run = run.clone();
        Box::pin(async move {
            let caller = Caller(context);
            caller.charge_call().map_err(hub_error)?;
            run(caller, checked(args)?).await.map_err(hub_error)
        })
    }
}

/// A method without an argument.
pub(crate) fn plain<R, F, Fut>(
    run: F,
) -> impl Fn(Context<Arc<Chat>>) -> BoxFuture<'static, Result<R, HubError>> + Send + Sync + 'static
where
    F: Fn(Caller) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<R>> + Send + 'static,
{
    move |context| {
        let run = run.clone();
        Box::pin(async move {
            let caller = Caller(context);
            caller.charge_call().map_err(hub_error)?;
            run(caller).await.map_err(hub_error)
        })
    }
}

/// A stream that a method answers with.
type Streamed<T> = Result<BoxStream<'static, Result<T, HubError>>, HubError>;

/// A method with one argument that answers with a stream.
pub(crate) fn stream<A, T, S, F, Fut>(
    run: F,
) -> impl Fn(Context<Arc<Chat>>, Args<A>) -> BoxFuture<'static, Streamed<T>> + Send + Sync + 'static
where
    A: Send + 'static,
    T: 'static,
    S: Stream<Item = T> + Send + 'static,
    F: Fn(Caller, A) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<S>> + Send + 'static,
{
    move |context, args| {
        let run = run.clone();
        Box::pin(async move {
            let caller = Caller(context);
            caller.charge_call().map_err(hub_error)?;
            Ok(run(caller, checked(args)?).await.map_err(hub_error)?.map(Ok).boxed())
        })
    }
}

fn checked<A>(args: Args<A>) -> Result<A, HubError> {
    args.0.map_err(|error| hub_error(Problem::validation(vec![FieldError::new("", error)])))
}

/// A problem in the words of the hub: `<code>: <sentence>`.
fn hub_error(problem: Problem) -> HubError {
    let fields: Vec<String> =
        problem.errors().iter().map(|error| format!("{} {}", error.field, error.message).trim().to_owned()).collect();
    let sentence = match (problem.detail_text(), fields.is_empty()) {
        (Some(detail), _) => detail.to_owned(),
        (None, true) => format!("{}.", problem.code().title()),
        (None, false) => format!("{}.", fields.join("; ")),
    };
    HubError::new(format!("{}: {sentence}", problem.code()))
}
