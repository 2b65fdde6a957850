//! Connections without a hub: the transports alone, as an ordered stream of bytes.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::connection::{Connection, Phase, Signal};
use crate::hub::HubCore;
use crate::transport::{Received, Wire};

pub(crate) type RawHandler = Box<dyn Fn(RawConnection) -> BoxFuture<'static, ()> + Send + Sync>;

/// One connection's bytes. Dropping it closes the connection.
pub struct RawConnection {
    connection: Arc<Connection>,
    wire: Wire,
    close_timeout: Duration,
}

impl RawConnection {
    /// The next bytes; boundaries mean nothing. `None`: it is over.
    pub async fn receive(&mut self) -> Option<Bytes> {
        let received = std::future::poll_fn(|cx| {
            self.connection.waker.register(cx.waker());
            if let Poll::Ready(received) = self.wire.poll_read(cx) {
                return Poll::Ready(received);
            }
            let signals = self.connection.take_signals();
            let over = [Signal::ReaderGone, Signal::Deleted, Signal::Shutdown, Signal::TooSlow];
            if over.into_iter().any(|signal| signals.has(signal)) {
                Poll::Ready(Received::Closed)
            } else {
                Poll::Pending
            }
        })
        .await;
        match received {
            Received::Data(data) => Some(data),
            Received::Closed => {
                let _ = tokio::time::timeout(self.close_timeout, self.wire.close()).await;
                None
            }
            Received::Lost | Received::TooLarge => None,
        }
    }

    /// Sends bytes as one frame, event or part of a poll. `false`: the connection is over.
    pub async fn send(&mut self, bytes: Bytes) -> bool {
        self.wire.send(bytes, &self.connection.waker).await.is_ok()
    }
}

/// Runs the handler of a connection to its end.
pub(crate) async fn run(hub: Arc<HubCore>, connection: Arc<Connection>, wire: Wire) {
    let Some(handler) = &hub.raw else { return };
    connection.enter(Phase::Open);
    let kind = connection.transport_kind();
    hub.metrics.opened(kind);
    let pipe = match &wire {
        Wire::Http(pipe) => Some(Arc::clone(pipe)),
        Wire::WebSocket(_) => None,
    };
    handler(RawConnection { connection: Arc::clone(&connection), wire, close_timeout: hub.options.close_timeout })
        .await;
    connection.enter(Phase::Ended);
    if let Some(pipe) = pipe {
        pipe.end();
    }
    hub.metrics.closed(kind);
    hub.finished(&connection);
}
