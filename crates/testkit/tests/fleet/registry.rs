//! Processes that announce themselves in NATS.

use std::{collections::BTreeSet, time::Duration};

use bookworm_nats::{ConnectOptions, Nats, NatsRegistry};
use bookworm_registry::{Instance, LIFETIME, Registry, State};
use bookworm_testing::{nats_stream, nats_url};
use bookworm_testkit::{TestShop, until};

use crate::on_postgres;

/// What is announced.
async fn announced(registry: &NatsRegistry) -> Vec<Instance> {
    let listing = registry.list().await.unwrap();
    listing.instances.into_iter().map(|entry| entry.value).collect()
}

async fn registry(url: &str, stream: &str) -> NatsRegistry {
    let options = ConnectOptions {
        servers: vec![url.to_owned()],
        name: "a test".to_owned(),
        login: None,
        ca_file: None,
        client_certificate: None,
        tls: false,
        connect_timeout: Duration::from_secs(30),
    };
    let nats = Nats::connect(options).await.unwrap();
    NatsRegistry::open(nats, stream, LIFETIME, 1).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_of_a_process_is_announced_until_it_ends() {
    let Some(nats) = nats_url() else { return };
    on_postgres(|server| async move {
        let stream = nats_stream();
        let settings = [("nats.url", &*nats), ("nats.stream", &stream), ("nats.max_mib", "8")];
        let processes = ["gateway,identity,basket,notification,catalog", "finance,ai"];
        let mut shop = TestShop::start_apart(&server, &processes, &settings).await;
        let registry = registry(&nats, &stream).await;
        let all = until("every role is ready", async || {
            let all = announced(&registry).await;
            (all.len() == 7 && all.iter().all(|instance| instance.state == State::Ready)).then_some(all)
        })
        .await;
        let ids: BTreeSet<&str> = all.iter().map(Instance::id).collect();
        assert_eq!(ids.len(), 2, "a process has one name in all its roles");
        let address = format!("http://{}", shop.others()[0].internal.unwrap());
        for instance in all.iter().filter(|instance| ["finance", "ai"].contains(&instance.role())) {
            assert_eq!(instance.http.as_ref(), Some(&address));
            assert_eq!(instance.grpc.as_ref(), Some(&address));
        }
        shop.others().remove(0).stop().await;
        assert_eq!(announced(&registry).await.len(), 5, "who ended is gone at once");
        shop.stop().await;
        assert_eq!(announced(&registry).await, []);
    })
    .await;
}
