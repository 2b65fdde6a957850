//! Every limit and time-out of a hub. None is infinite.

use std::time::Duration;

/// The transports that a hub offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transports {
    /// WebSockets (RFC 6455), and over HTTP/2 (RFC 8441).
    pub web_sockets: bool,
    /// Server-Sent Events, with POST for the other way.
    pub server_sent_events: bool,
    /// Long polling, with POST for the other way.
    pub long_polling: bool,
}

impl Transports {
    /// All three.
    pub const ALL: Self = Self { web_sockets: true, server_sent_events: true, long_polling: true };
}

/// Limits and time-outs of a hub. The defaults are the reference server's where it has the limit.
#[derive(Debug, Clone)]
pub struct Options {
    /// The transports offered. Default: all.
    pub transports: Transports,
    /// Whether clients see the type and text of internal errors. Default: no; errors made with
    /// [`HubError::new`](crate::HubError::new) are always sent.
    pub detailed_errors: bool,
    /// Whether a client may resume a WebSocket connection that broke, without loss. Default: no.
    pub stateful_reconnect: bool,
    /// Whether a connection ends when its principal expires. Default: no.
    pub close_on_authentication_expiration: bool,
    /// What tells this node from others: letters and digits that stand at the end of each connection's token, behind a
    /// dot, so that a proxy can send its requests here. Default: none, and no dot.
    pub instance: Option<String>,
    /// The oldest negotiate version served. Default: 0.
    pub minimum_negotiate_version: u32,

    /// The largest message from a client in bytes, framing included. Default: 32 KiB.
    pub maximum_receive_message_size: usize,
    /// The largest WebSocket frame in bytes; one frame may hold many messages. Default: 256 KiB.
    pub maximum_frame_size: usize,
    /// How many bytes of posted messages may wait for the hub. Default: 64 KiB.
    pub receive_buffer_size: usize,
    /// From how many bytes on a handler waits that sends to its own caller, and how many bytes are given to an HTTP
    /// response ahead of its reader. Default: 64 KiB.
    pub transport_buffer_size: usize,
    /// How many bytes may wait for one client; a client for whom more is sent is closed. Default: 1 MiB.
    pub send_queue_size: usize,
    /// How many bytes are buffered for a client until it acknowledges them (stateful reconnect). Default: 100,000.
    pub stateful_buffer_size: usize,
    /// How many items of an upload wait for the handler before the connection is read no further. Default: 10.
    pub stream_buffer_capacity: usize,
    /// How many non-streaming invocations of one connection run at once. Default: 1, which preserves their order.
    pub maximum_parallel_invocations: usize,
    /// How many invocations of one connection wait for their turn before it is read no further. Default: 16.
    pub maximum_waiting_invocations: usize,
    /// How many streams, both ways together, one connection has open. Default: 100.
    pub maximum_streams: usize,
    /// How many results one connection may be asked for at once. Default: 100.
    pub maximum_client_results: usize,
    /// How many groups one connection is in. Default: 1,000.
    pub maximum_groups: usize,
    /// How many connections a hub has on this node, those that only negotiated included. Default: 100,000.
    pub maximum_connections: usize,
    /// How many connections one origin has on this node; see [`Principal::from_origin`](crate::Principal::from_origin).
    /// Default: 100,000.
    pub maximum_connections_per_origin: usize,
    /// How many of the connections belong to nobody in particular. Default: 100,000.
    pub maximum_anonymous_connections: usize,
    /// How many of those one origin has. Default: 100,000.
    pub maximum_anonymous_connections_per_origin: usize,
    /// How many connections one user has on this node. Default: 100.
    pub maximum_connections_per_user: usize,

    /// From the transport's start to the handshake. Default: 15 s.
    pub handshake_timeout: Duration,
    /// How often a client is pinged (not on long polling). Default: 15 s.
    pub keep_alive_interval: Duration,
    /// How long a client that pings may be silent. Default: 30 s.
    pub client_timeout: Duration,
    /// How long one write may take before the client is closed as too slow. Default: 10 s.
    pub send_timeout: Duration,
    /// How long the peer has to answer a close. Default: 5 s.
    pub close_timeout: Duration,
    /// How long a poll hangs. Default: 90 s.
    pub poll_timeout: Duration,
    /// How long a connection lives without a transport: just negotiated, between polls, or before it is resumed.
    /// Default: 15 s.
    pub disconnect_timeout: Duration,
    /// How long a client has to give a result. Default: 30 s.
    pub client_result_timeout: Duration,
    /// How long handlers may go on when their connection is gone, before they are dropped. Default: 30 s.
    pub handler_grace: Duration,
    /// How often time-outs are looked for. Default: 1 s.
    pub heartbeat_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transports: Transports::ALL,
            detailed_errors: false,
            stateful_reconnect: false,
            close_on_authentication_expiration: false,
            instance: None,
            minimum_negotiate_version: 0,
            maximum_receive_message_size: 32 * 1024,
            maximum_frame_size: 256 * 1024,
            receive_buffer_size: 64 * 1024,
            transport_buffer_size: 64 * 1024,
            send_queue_size: 1024 * 1024,
            stateful_buffer_size: 100_000,
            stream_buffer_capacity: 10,
            maximum_parallel_invocations: 1,
            maximum_waiting_invocations: 16,
            maximum_streams: 100,
            maximum_client_results: 100,
            maximum_groups: 1_000,
            maximum_connections: 100_000,
            maximum_connections_per_origin: 100_000,
            maximum_anonymous_connections: 100_000,
            maximum_anonymous_connections_per_origin: 100_000,
            maximum_connections_per_user: 100,
            handshake_timeout: Duration::from_secs(15),
            keep_alive_interval: Duration::from_secs(15),
            client_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            poll_timeout: Duration::from_secs(90),
            disconnect_timeout: Duration::from_secs(15),
            client_result_timeout: Duration::from_secs(30),
            handler_grace: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(1),
        }
    }
}
