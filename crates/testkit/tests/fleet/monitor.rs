//! The monitor: who hangs is out, and back by itself.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bookworm_registry::{Announcer, Instance, Key, LIFETIME, Load, Registry, State};
use bookworm_testing::nats_url;
use bookworm_testkit::{TestShop, until};
use http::StatusCode;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::{on_postgres, registry::registry as registry_of};

/// Stands before a process and, while it hangs, takes connections and answers nothing.
struct Door {
    address: SocketAddr,
    hangs: watch::Sender<bool>,
}

impl Door {
    async fn before(process: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, hangs) = (listener.local_addr().unwrap(), watch::Sender::new(false));
        let watched = hangs.subscribe();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut hangs = watched.clone();
                tokio::spawn(async move {
                    let pass = async {
                        if let Ok(mut server) = TcpStream::connect(process).await {
                            let _ = copy_bidirectional(&mut client, &mut server).await;
                        }
                    };
                    tokio::select! {
                        biased;
                        _ = hangs.wait_for(|hangs| *hangs) => {}
                        () = pass => return,
                    }
                    let _ = hangs.wait_for(|hangs| !*hangs).await;
                });
            }
        });
        Self { address, hangs }
    }
}

/// Announces another instance of a role, at this address.
fn announce(registry: &Arc<dyn Registry>, role: &str, id: &str, address: SocketAddr, stop: &CancellationToken) {
    let address = Some(format!("http://{address}"));
    let instance = Instance {
        key: Key::new(role, id).unwrap(),
        generation: 1,
        grpc: address.clone(),
        http: address,
        version: "0.0.0".to_owned(),
        zone: String::new(),
        state: State::Ready,
        capabilities: Vec::new(),
        load: Load::default(),
    };
    let (announcer, stop) = (Announcer::new(registry.clone(), instance, Load::default), stop.clone());
    tokio::spawn(async move { announcer.run(stop).await });
}

async fn out(registry: &Arc<dyn Registry>) -> Vec<String> {
    registry.list().await.unwrap().verdicts.iter().map(|verdict| verdict.value.key.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_is_out_and_back_by_itself_and_a_monitor_that_is_cut_off_judges_nobody() {
    let Some(nats) = nats_url() else { return };
    on_postgres(|server| async move {
        let processes = ["gateway,identity,basket,notification,catalog,monitor", "finance", "ai"];
        let mut shop = TestShop::start_announced(&server, &nats, &processes, &[]).await;
        let registry: Arc<dyn Registry> = Arc::new(registry_of(&shop).await);
        let (door, stop) = (Door::before(shop.others()[0].internal.unwrap()).await, CancellationToken::new());
        announce(&registry, "finance", "hangs", door.address, &stop);
        let hung = vec!["finance.hangs".to_owned()];

        door.hangs.send_replace(true);
        until("it is judged out", async || (out(&registry).await == hung).then_some(())).await;
        let of_it = async |path: &str| {
            let fleet = shop.get(path).bearer(shop.admin()).send().await.expect(StatusCode::OK).body;
            let instances = fleet["instances"].as_array().unwrap().clone();
            instances.into_iter().find(|instance| instance["instance"] == "hangs").unwrap_or_default()
        };
        let reason = until("staff see it", async || {
            let reason = of_it("/api/v1/fleet").await["verdict"]["reason"].clone();
            (!reason.is_null()).then_some(reason)
        })
        .await;
        assert_eq!(reason, "it does not answer in time");
        for _ in 0..10 {
            let _ = shop.get("/api/v1/payment-methods").send().await.expect(StatusCode::OK);
        }
        door.hangs.send_replace(false);
        until("it is back", async || out(&registry).await.is_empty().then_some(())).await;

        door.hangs.send_replace(true);
        until("it is out again", async || (out(&registry).await == hung).then_some(())).await;
        // With these two more than half of the processes are silent, as if the monitor were cut off.
        for id in ["silent-1", "silent-2"] {
            announce(&registry, "ai", id, door.address, &stop);
        }
        until("what was judged lapses", async || out(&registry).await.is_empty().then_some(())).await;
        let judged = async {
            while out(&registry).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        assert!(tokio::time::timeout(LIFETIME, judged).await.is_err(), "nobody is judged: {:?}", out(&registry).await);
        stop.cancel();
        shop.stop().await;
    })
    .await;
}
