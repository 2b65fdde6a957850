use std::{io::IsTerminal, net::SocketAddr, process::ExitCode};

use anyhow::Context;
use bookworm_config::{AiProvider, MailTransport, Settings};
use bookworm_node::{FirstAdmin, Shop, StartStopped};
use bookworm_telemetry::Telemetry;
use tokio_util::sync::CancellationToken;

/// Runs the shop until it is told to stop.
///
/// `recreate` names databases that the operator has given up.
pub async fn run(settings: Settings, telemetry: Telemetry, recreate: Vec<String>) -> anyhow::Result<ExitCode> {
    let summary = Summary::of(&settings);
    let shutdown = CancellationToken::new();
    signals(shutdown.clone(), || std::process::exit(130))?;
    let mut shop = match Shop::open_recreating(settings, telemetry, recreate, &shutdown).await {
        Err(error) if error.is::<StartStopped>() => {
            tracing::info!("stopped before the start was over");
            return Ok(ExitCode::SUCCESS);
        }
        opened => opened?,
    };
    let (public, admin) = (shop.address(), shop.take_first_admin());
    let listeners = [
        ("listening on", public),
        ("answering other processes on", shop.internal_address()),
        ("answering operators on", shop.operations_address()),
    ];
    let home = summary.home(public);
    let serving = tokio::spawn(shop.serve(shutdown));
    for (what, address) in listeners {
        if let Some(address) = address {
            crate::print(&format!("{what} http://{address}\n"));
        }
    }
    if let Some(admin) = admin {
        crate::print(&once(&admin, &home));
    }
    if public.is_some() && std::io::stdout().is_terminal() {
        crate::print(&summary.text(&home));
    }
    serving.await.context("the shop broke down")?;
    Ok(ExitCode::SUCCESS)
}

/// How the first administrator signs in to the shop at `home`, which ends with a slash.
pub fn once(admin: &FirstAdmin, home: &str) -> String {
    format!(
        "administrator {} has the password {}\nIt is shown only this once: keep it safe. Sign in at {home}sign-in\n",
        admin.email, admin.password
    )
}

/// What somebody who started the shop by hand wants to know, below the log.
struct Summary {
    public: Option<String>,
    data: String,
    model: String,
    mail: String,
    payment: &'static str,
}

impl Summary {
    fn of(settings: &Settings) -> Self {
        let data = match settings.database.url {
            Some(_) => format!("PostgreSQL, and {}", settings.data_dir.display()),
            None => settings.data_dir.display().to_string(),
        };
        let mail = match settings.mail.transport {
            MailTransport::Mailbox => "kept in the back office, not sent (setting mail.transport)".to_owned(),
            MailTransport::Smtp => format!("sent through {}", settings.mail.smtp.host),
        };
        let model = match (&settings.ai.url, settings.ai.provider) {
            (_, AiProvider::Off) => "off: search is by keyword only".to_owned(),
            (Some(url), _) => url.to_string(),
            (None, _) => "on this machine, if installed (see /health/ready)".to_owned(),
        };
        Self {
            public: settings.public_url.as_ref().map(ToString::to_string),
            data,
            model,
            mail,
            payment: "SANDBOX: test cards only, no money moves",
        }
    }

    /// Where somebody reaches the shop: a process without a gateway belongs to one that has a public address.
    fn home(&self, listening: Option<SocketAddr>) -> String {
        let here = listening.map(|address| format!("http://{address}/"));
        here.filter(|_| self.public.is_none()).or_else(|| self.public.clone()).unwrap_or_else(|| "/".to_owned())
    }

    fn text(&self, shop: &str) -> String {
        let rows = [
            ("Shop", shop.to_owned()),
            ("Back office", format!("{shop}admin")),
            ("API", format!("{shop}docs")),
            ("Data", self.data.clone()),
            ("Model", self.model.clone()),
            ("Mail", self.mail.clone()),
            ("Payment", self.payment.to_owned()),
        ];
        let width = rows.iter().map(|(_, value)| value.chars().count()).max().unwrap_or(0) + 15;
        let mut text = format!("\n+{:-<width$}+\n", "");
        for (name, value) in rows {
            text.push_str(&format!("| {name:<11}  {value:<rest$} |\n", rest = width - 15));
        }
        text.push_str(&format!("+{:-<width$}+\nCtrl-C stops the shop.\n", ""));
        text
    }
}

/// The first signal begins the shutdown, the second does what is to be done at once.
pub fn signals(shutdown: CancellationToken, at_once: impl Fn() + Send + 'static) -> anyhow::Result<()> {
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
                at_once();
            }
            tracing::info!("shutting down; a second signal exits at once");
            shutdown.cancel();
        }
    });
    Ok(())
}
