//! The hub `/hubs/chat`: see `docs/chat-hub.md` for every method and event.
//!
//! | to change | open |
//! |---|---|
//! | what customers may do | `customer.rs` |
//! | what agents may do | `agent.rs` |
//! | what both sides do in a conversation | `both.rs` |
//! | a connection's account, and how often it may call | `caller.rs` |
//! | arguments and answers | `wire.rs` |
//! | which events follow a change | `service/announce.rs` |
//! | the events' fields | `service/events.rs` |

mod agent;
mod both;
mod caller;
mod customer;
mod wire;

use std::sync::Arc;

use bookworm_contracts::rest::chat::MAX_MESSAGE_CHARS;
use bookworm_http::ClientAddress;
use bookworm_signalr::{
    Context, Credentials, Disconnect, Hub, HubError, Options, Principal, Rejection, backplane::Backplane,
};
use bookworm_trace::{KeyValue, Kind, Span};
use futures::future::BoxFuture;

use self::caller::{Meter, method, plain, stream};
use crate::service::{Chat, presence::Identity};

/// The hub's path.
pub const PATH: &str = "/hubs/chat";
/// Where its connections are negotiated.
pub const NEGOTIATE: &str = "/hubs/chat/negotiate";
/// The most groups of one connection: its conversations and a few more.
const MAX_GROUPS: usize = 200;

/// The largest call in bytes. Some clients write every character beyond ASCII as an escape, one beyond the basic plane
/// as two of six bytes each: the longest message must fit in that way too, with what stands around it.
const LARGEST_CALL: usize = 64 * 1024;
const _: () = assert!(LARGEST_CALL >= MAX_MESSAGE_CHARS * 12 + 4096);

/// What clients are called when events of other instances may have been lost.
const RESYNCHRONISE: &str = "resynchronise";

/// The hub over this chat; `instance` goes into its connections' tokens.
pub(crate) fn build(chat: &Arc<Chat>, instance: Option<String>, backplane: Arc<dyn Backplane>) -> Hub {
    let options = Options {
        close_on_authentication_expiration: true,
        maximum_connections: chat.settings.max_connections as usize,
        maximum_connections_per_origin: chat.settings.max_connections_per_address as usize,
        maximum_anonymous_connections: chat.settings.max_guest_connections as usize,
        maximum_anonymous_connections_per_origin: chat.settings.max_guest_connections_per_address as usize,
        maximum_groups: MAX_GROUPS,
        maximum_receive_message_size: LARGEST_CALL,
        receive_buffer_size: 2 * LARGEST_CALL,
        instance,
        ..Options::default()
    };
    let verifier = Arc::clone(&chat.verifier);
    let authenticate = move |credentials: Credentials| {
        let verifier = Arc::clone(&verifier);
        async move {
            let origin = origin(&credentials);
            let from = |principal: Principal| match origin {
                Some(origin) => principal.from_origin(origin),
                None => principal,
            };
            let Some(token) = credentials.token else { return Ok(from(Principal::anonymous())) };
            let (account, expires) = verifier.verify_fetching(&token).await.map_err(|_| Rejection::Unauthorized)?;
            let left = expires.since(verifier.now());
            let principal = from(Principal::user(account.id.to_string())).expiring_in(left);
            Ok(principal.with_details(Identity { account, token, expires }))
        }
    };
    Hub::builder("chat", Arc::clone(chat))
        .authenticate(authenticate)
        .on_connected(connected)
        .on_disconnected(disconnected)
        .backplane(backplane)
        .around(traced)
        .resynchronise_by(RESYNCHRONISE)
        .on("StartConversation", method(customer::start))
        .on("Conversations", plain(customer::conversations))
        .on("Resume", method(customer::resume))
        .on("AskForPerson", method(customer::ask_for_person))
        .on("LeaveAddress", method(customer::leave_address))
        .on("Rate", method(customer::rate))
        .on("EndConversation", method(customer::end))
        .on("SendTranscript", method(customer::send_transcript))
        .on("DeleteConversation", method(customer::delete))
        .stream("Answer", stream(customer::answer))
        .on("SendMessage", method(both::send_message))
        .on("Typing", method(both::typing))
        .on("MarkDelivered", method(both::mark_delivered))
        .on("MarkRead", method(both::mark_read))
        .on("History", method(both::history))
        .on("SetAvailability", method(agent::set_availability))
        .on("Queue", plain(agent::queue))
        .on("MyConversations", plain(agent::my_conversations))
        .on("Accept", method(agent::accept))
        .on("Open", method(agent::open))
        .on("AddNote", method(agent::add_note))
        .on("CannedReplies", plain(agent::canned_replies))
        .on("Transfer", method(agent::transfer))
        .on("Close", method(agent::close))
        .on("Reopen", method(agent::reopen))
        .build(options)
}

/// An invocation is a trace of its own: a connection lives for hours.
fn traced<T: Send + 'static>(
    method: &str,
    work: BoxFuture<'static, Result<T, HubError>>,
) -> BoxFuture<'static, Result<T, HubError>> {
    let mut step = Span::begin(Kind::Server, None, || {
        let attributes = vec![
            KeyValue::new("rpc.system", "signalr"),
            KeyValue::new("rpc.service", "chat"),
            KeyValue::new("rpc.method", method.to_owned()),
        ];
        (format!("chat/{method}").into(), attributes)
    });
    let place = step.place();
    Box::pin(bookworm_trace::scope(place, async move {
        let done = work.await;
        // A refusal is an answer, as a status below 500 is; what goes wrong behind it has steps that say so.
        step.set("bookworm.outcome", if done.is_ok() { "ok" } else { "refused" });
        done
    }))
}

type State = Arc<Chat>;

/// The household or office that a connection comes from. The gateway sets the header anew on every request.
fn origin(credentials: &Credentials) -> Option<String> {
    let address = ClientAddress::forwarded(credentials.request.headers())?;
    Some(address.network().to_string())
}

async fn connected(ctx: Context<State>) -> Result<(), HubError> {
    let identity = ctx.principal().details::<Identity>().cloned();
    ctx.presence.enter(ctx.connection_id(), identity);
    ctx.insert(Meter::new(&ctx.settings, ctx.clock.now()));
    Ok(())
}

async fn disconnected(ctx: Context<State>, _: Disconnect) {
    ctx.typing_ends_at(ctx.connection_id()).await;
    let gone = ctx.presence.leave(ctx.connection_id());
    if !gone.customers.is_empty() || gone.agent.is_some() {
        ctx.presence.settled().await;
    }
    for id in gone.customers {
        if let Ok(conversation) = ctx.find(id).await {
            ctx.show_presence(&conversation).await;
        }
    }
    if let Some(agent) = gone.agent
        && let Err(problem) = ctx.agent_left(agent).await
    {
        // After the next start the desk finds the agent without a connection.
        tracing::warn!(%problem, "an agent's departure was not recorded");
    }
}
