//! The descriptors that the system gives, and how many connections fit into them.

use bookworm_config::Settings;
use bookworm_http::Connections;
use rustix::process::{Resource, getrlimit, setrlimit};

/// What the shop reserves for itself where the limit allows it: databases, files, connections to others.
const RESERVE: u64 = 256;
/// The most that it reserves.
const MOST_RESERVE: u64 = 1024;

/// Raises this process's limit of open descriptors as far as it may, and fits the settings' limits of connections into
/// what is left. Says what came of it.
pub fn fit(settings: &mut Settings) -> Connections {
    let limit = raise();
    let connections = connections(settings, limit);
    let hub = u32::try_from(connections.all).unwrap_or(u32::MAX);
    let chat = &mut settings.chat;
    let told_apart = chat.max_connections_per_address < chat.max_connections;
    // A hub's connections are among all connections: some are left for pages.
    chat.max_connections = chat.max_connections.min((hub - hub / 4).max(1));
    chat.max_guest_connections = chat.max_guest_connections.min((chat.max_connections / 2).max(1));
    if told_apart {
        // An eighth: six addresses leave a quarter for others.
        let (all, guests) = (chat.max_connections, chat.max_guest_connections);
        let (each, each_guest) = (&mut chat.max_connections_per_address, &mut chat.max_guest_connections_per_address);
        *each = (*each).min((all / 8).max(2));
        *each_guest = (*each_guest).min((guests / 8).max(2));
    }
    tracing::info!(
        descriptors = limit,
        connections = connections.all,
        per_address = connections.each,
        hub_connections = chat.max_connections,
        guests_hub_connections = chat.max_guest_connections,
        "limits of connections"
    );
    let most = settings.gateway.connections.max;
    if connections.all < most as usize {
        tracing::info!("gateway.connections.max is {most}: the system allows fewer open descriptors than that needs");
    }
    connections
}

/// The limit after it was raised; `None`: there is none.
fn raise() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    if limit.current != before
        && let Err(error) = setrlimit(Resource::Nofile, limit)
    {
        // Some systems have a lower limit of their own than the one they name.
        tracing::warn!(%error, "the limit of open descriptors stays as it is");
        return before;
    }
    limit.maximum
}

fn connections(settings: &Settings, limit: Option<u64>) -> Connections {
    let wanted = &settings.gateway.connections;
    let (max, each) = (wanted.max as usize, wanted.per_address as usize);
    let of_databases = match &settings.database.url {
        Some(_) => u64::from(settings.database.max_connections),
        None => 0,
    };
    let all = limit.map_or(max, |limit| {
        let reserve = (limit / 4).clamp(RESERVE, MOST_RESERVE).saturating_add(of_databases).min(limit / 4 * 3);
        max.min(usize::try_from(limit - reserve).unwrap_or(usize::MAX)).max(1)
    });
    // Behind a proxy every connection is the proxy's.
    let told_apart = !settings.gateway.trust_forwarded_for && each < max;
    Connections { all, each: if told_apart { each.min(all.saturating_sub(1)).max(1) } else { all } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(limit: Option<u64>, change: impl FnOnce(&mut Settings)) -> (usize, usize) {
        let mut settings = Settings::default();
        change(&mut settings);
        let Connections { all, each } = connections(&settings, limit);
        (all, each)
    }

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        for (limit, all) in [(64, 16), (128, 32), (512, 256), (1024, 768), (4096, 3072), (20_000, 10_000)] {
            assert_eq!(fitted(Some(limit), |_| {}), (all, 256.min(all - 1)), "{limit}");
        }
        assert_eq!(fitted(None, |_| {}), (10_000, 256));
        let many = |settings: &mut Settings| settings.gateway.connections.max = 1_000_000;
        assert_eq!(fitted(Some(20_000), many), (18_976, 256));
        let postgres = |settings: &mut Settings| {
            settings.database.url = Some(bookworm_config::Secret::new("postgres://localhost/x"));
        };
        let most = Settings::default().database.max_connections as usize;
        assert_eq!(fitted(Some(1024), postgres).0, 768 - most, "its connections need descriptors too");
    }

    #[test]
    fn a_proxy_and_a_load_test_are_not_bounded_as_one_address() {
        let proxy = |settings: &mut Settings| settings.gateway.trust_forwarded_for = true;
        assert_eq!(fitted(Some(1024), proxy), (768, 768));
        let load = |settings: &mut Settings| settings.gateway.connections.per_address = 10_000;
        assert_eq!(fitted(Some(1024), load), (768, 768));
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may() {
        assert_eq!(raise(), getrlimit(Resource::Nofile).maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, getrlimit(Resource::Nofile).maximum);
    }
}
