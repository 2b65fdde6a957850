use std::process::ExitCode;

use anyhow::Context;
use bookworm_config::Settings;
use bookworm_node::Shop;
use bookworm_telemetry::Telemetry;
use tokio_util::sync::CancellationToken;

/// Runs the shop until it is told to stop.
pub async fn run(settings: Settings, telemetry: Telemetry) -> anyhow::Result<ExitCode> {
    let mut shop = Shop::open(settings, telemetry).await?;
    let shutdown = CancellationToken::new();
    signals(shutdown.clone())?;
    let (address, admin) = (shop.address()?, shop.take_first_admin());
    let serving = tokio::spawn(shop.serve(shutdown));
    crate::print(&format!("listening on http://{address}\n"));
    if let Some(admin) = admin {
        crate::print(&format!(
            "administrator {} has the password {}\nIt is shown this once. Sign in at http://{address}/sign-in and change it.\n",
            admin.email, admin.password
        ));
    }
    serving.await.context("the shop broke down")?;
    Ok(ExitCode::SUCCESS)
}

/// The first signal begins the shutdown, the second ends the program at once.
fn signals(shutdown: CancellationToken) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals")?;
    // The terminal was closed.
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen to signals")?;
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {}, _ = hangup.recv() => {} }
            if shutdown.is_cancelled() {
                tracing::warn!("second signal: exiting at once");
                std::process::exit(130);
            }
            tracing::info!("shutting down; a second signal exits at once");
            shutdown.cancel();
        }
    });
    Ok(())
}
