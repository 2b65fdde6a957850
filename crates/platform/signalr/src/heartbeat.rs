//! One timer for all connections of a hub: pings, time-outs, and places of those who never came.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::connection::{Connection, Phase, Signal, TransportKind};
use crate::hub::HubCore;
use crate::request::Principal;

/// Beats until the hub is gone.
pub(crate) async fn run(hub: Weak<HubCore>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(hub) = hub.upgrade() else { return };
        for connection in hub.directory.everybody() {
            look_at(&hub, &connection);
        }
    }
}

fn look_at(hub: &HubCore, connection: &Connection) {
    let (options, times) = (&hub.options, &connection.times);
    let now = connection.now();
    let passed = |since: u64, limit: Duration| since != 0 && u128::from(now.saturating_sub(since)) > limit.as_millis();
    let entered = times.entered.load(Ordering::Relaxed).max(1);
    match connection.phase() {
        Phase::Waiting => {
            if passed(entered, options.disconnect_timeout) && connection.enter(Phase::Ended) {
                if let Some(pipe) = connection.existing_pipe() {
                    pipe.end();
                }
                hub.directory.forget(connection);
            }
            return;
        }
        Phase::Ended => {
            if connection.transport_kind() == TransportKind::LongPolling && passed(entered, options.disconnect_timeout)
            {
                hub.directory.forget(connection);
            }
            return;
        }
        Phase::Started => {
            if hub.raw.is_none() && passed(entered, options.handshake_timeout) {
                connection.signal(Signal::HandshakeTimeout);
            }
        }
        Phase::Open => {
            let polls = connection.transport_kind() == TransportKind::LongPolling;
            let pinged = times.pinged.load(Ordering::Relaxed);
            if !polls && passed(pinged, options.keep_alive_interval) {
                times.pinged.store(now, Ordering::Relaxed);
                connection.signal(Signal::Ping);
            }
            let busy = times.busy.load(Ordering::Acquire);
            if !busy && passed(times.received.load(Ordering::Relaxed), options.client_timeout) {
                connection.signal(Signal::ClientTimeout);
            }
            if connection.stateful.load(Ordering::Acquire) {
                connection.signal(Signal::Acknowledge);
            }
            if options.close_on_authentication_expiration
                && connection.principal.get().is_some_and(Principal::has_expired)
            {
                connection.signal(Signal::Expired);
            }
        }
    }
    if passed(times.stuck.load(Ordering::Relaxed), options.send_timeout) {
        connection.signal(Signal::TooSlow);
    }
    if times.detached.load(Ordering::Acquire) && passed(times.since.load(Ordering::Relaxed), options.disconnect_timeout)
    {
        connection.signal(Signal::ReaderGone);
    }
}
