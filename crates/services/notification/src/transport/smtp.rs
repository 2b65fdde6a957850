use std::{error::Error, time::Duration};

use async_trait::async_trait;
use bookworm_config::{Mail as MailSettings, SmtpTls};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
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
        let mut builder = Message::builder();
        if let Some(url) = &mail.unsubscribe {
            builder = builder.header(ListUnsubscribe(format!("<{url}>"))).header(OneClick);
        }
        builder
            .from(self.from.clone())
            .to(Mailbox::new(None, mail.to.parse().map_err(|_| "the address cannot be used".to_owned())?))
            .subject(&mail.subject)
            .message_id(Some(format!("<{}@{domain}>", mail.id)))
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(|error| error.to_string())
    }
}

/// Where mails of a kind are ended (RFC 2369, 3.2).
#[derive(Clone)]
struct ListUnsubscribe(String);

impl Header for ListUnsubscribe {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }

    fn parse(value: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self(value.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        // Mail programs read the address as it is: a long one must be neither folded nor encoded, and is ASCII.
        HeaderValue::dangerous_new_pre_encoded(Self::name(), self.0.clone(), self.0.clone())
    }
}

/// A `POST` to that address is enough (RFC 8058, 3.1).
#[derive(Clone)]
struct OneClick;

impl OneClick {
    const VALUE: &str = "List-Unsubscribe=One-Click";
}

impl Header for OneClick {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe-Post")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::dangerous_new_pre_encoded(Self::name(), Self::VALUE.to_owned(), Self::VALUE.to_owned())
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn written(unsubscribe: Option<&str>) -> String {
        let settings = MailSettings { from: "Shop <shop@books.example.org>".to_owned(), ..MailSettings::default() };
        let smtp = Smtp::new(&settings).unwrap();
        let mail = Outgoing {
            id: Uuid::nil(),
            to: "ann@reader.test".to_owned(),
            subject: "How did you like it?".to_owned(),
            text: "Words".to_owned(),
            html: "<p>Words</p>".to_owned(),
            unsubscribe: unsubscribe.map(str::to_owned),
        };
        String::from_utf8(smtp.message(&mail).unwrap().formatted()).unwrap()
    }

    #[tokio::test]
    async fn a_mail_that_nobody_needs_says_how_to_end_it() {
        let url = format!("https://books.example.org/api/v1/review-invitations/unsubscribe?token={}", "a".repeat(64));
        let mail = written(Some(&url));
        let headers: Vec<&str> = mail.lines().collect();
        assert!(headers.contains(&format!("List-Unsubscribe: <{url}>").as_str()), "{mail}");
        assert!(headers.contains(&"List-Unsubscribe-Post: List-Unsubscribe=One-Click"), "{mail}");
        assert!(!written(None).contains("List-Unsubscribe"));
    }
}
