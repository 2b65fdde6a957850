//! A connection after it changed its protocol: bytes, both ways.

use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;

/// Over how long the tunnels of a process that leaves are ended.
const SPREAD: Duration = Duration::from_secs(10);

/// Copies until one side ends, or, once this process leaves, until a moment of its own.
pub(crate) async fn run(client: OnUpgrade, instance: OnUpgrade, leaving: CancellationToken) {
    let (client, instance) = match tokio::try_join!(client, instance) {
        Ok(sides) => sides,
        Err(error) => {
            tracing::debug!(%error, "a connection did not change its protocol");
            return;
        }
    };
    let (mut client, mut instance) = (TokioIo::new(client), TokioIo::new(instance));
    let turn = async {
        leaving.cancelled().await;
        tokio::time::sleep(SPREAD.mul_f64(rand::random())).await;
    };
    tokio::select! {
        ended = tokio::io::copy_bidirectional(&mut client, &mut instance) => if let Err(error) = ended {
            tracing::debug!(%error, "a tunnel broke");
        },
        () = turn => {}
    }
}
