use std::time::Duration;

use async_trait::async_trait;
use bookworm_config::{Mail as MailSettings, SmtpTls};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::authentication::Credentials,
};

use super::{Handover, Outgoing, Transport, TransportError};

/// How long the server may take for each step.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A mail server (RFC 5321), over a pool of connections.
pub struct Smtp {
    from: Mailbox,
    server: AsyncSmtpTransport<Tokio1Executor>,
}

impl Smtp {
    /// Prepares connections; none is made before the first mail.
    ///
    /// # Errors
    /// When the sender or the host cannot be used; names the key.
    pub fn new(settings: &MailSettings) -> Result<Self, String> {
        let smtp = &settings.smtp;
        let from = settings.from.parse().map_err(|error| format!("from: not a sender: {error}"))?;
        let builder = match smtp.tls {
            SmtpTls::Starttls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(&smtp.host),
            SmtpTls::Tls => AsyncSmtpTransport::<Tokio1Executor>::relay(&smtp.host),
            SmtpTls::None => Ok(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)),
        };
        let mut builder =
            builder.map_err(|error| format!("smtp.host: {error}"))?.port(smtp.port).timeout(Some(TIMEOUT));
        if let (Some(username), Some(password)) = (&smtp.username, &smtp.password) {
            builder = builder.credentials(Credentials::new(username.clone(), password.expose().to_owned()));
        }
        Ok(Self { from, server: builder.build() })
    }

    fn message(&self, mail: &Outgoing) -> Result<Message, String> {
        let domain = self.from.email.domain();
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, mail.to.parse().map_err(|_| "the address cannot be used".to_owned())?))
            .subject(&mail.subject)
            .message_id(Some(format!("<{}@{domain}>", mail.id)))
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Transport for Smtp {
    async fn send(&self, mail: &Outgoing) -> Result<Handover, TransportError> {
        let message = self.message(mail).map_err(TransportError::Refused)?;
        match self.server.send(message).await {
            Ok(_) => Ok(Handover::Sent),
            // The server's own words may repeat the address; its code says enough.
            Err(error) if error.is_permanent() => Err(TransportError::Refused(describe(&error))),
            Err(error) => Err(TransportError::Later(describe(&error))),
        }
    }
}

fn describe(error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("the mail server answered {code}"),
        None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
        None => "the mail server cannot be reached".to_owned(),
    }
}
