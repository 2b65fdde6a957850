//! How to reach the shop: the chat, and a form that works without it.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::chat::{ContactRequest, MAX_MESSAGE_CHARS, Policy};
use http::StatusCode;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    api::ApiError,
    error::PageResult,
    flash::Flash,
    form::{Errors, Field, Fields},
    layout::{Shell, page_with},
    service::Web,
    session::Visitor,
    view::capitalised,
};

#[derive(Template)]
#[template(path = "contact.html")]
struct ContactPage {
    shell: Shell,
    errors: Errors,
    fields: Vec<Field>,
    /// Of the message that this form will be: it stays when the form is shown again.
    message: Uuid,
    /// The address of a visitor who is signed in: the answer goes there.
    own: Option<String>,
    email: String,
    /// Empty when people always answer.
    hours: String,
    sends_mail: bool,
    policies: Vec<Policy>,
}

/// `GET /contact`: also where the chat's button leads without JavaScript, and the chat while it is away.
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor) -> PageResult {
    form(&web, &visitor, StatusCode::OK, &Fields::default(), Errors::default()).await
}

/// `POST /contact`: `message`, `name`, `email`, `text`.
pub(crate) async fn send(State(web): State<Web>, visitor: Visitor, fields: Fields) -> PageResult {
    let guest = visitor.account().is_none();
    let mut errors = Errors::default();
    if guest && fields.get("email").is_empty() {
        errors.add("email", "Enter your email, so we can reply.");
    }
    if fields.get("text").is_empty() {
        errors.add("text", "Enter your message.");
    }
    if !errors.is_empty() {
        return form(&web, &visitor, StatusCode::BAD_REQUEST, &fields, errors).await;
    }
    let request = ContactRequest {
        name: fields.optional("name").filter(|_| guest),
        email: fields.optional("email").filter(|_| guest),
        text: fields.get("text").to_owned(),
    };
    match web.api.contact(visitor.caller(), &key(message(&fields), &request), &request).await {
        Ok(()) => {
            let how = if visitor.sends_mail() { "will reply by email" } else { "will get back to you" };
            visitor.flash(&Flash::success(format!("Thank you. We’ve got your message and {how}.")));
            Ok(Redirect::to("/contact").into_response())
        }
        Err(ApiError::Problem(problem)) if (400..500).contains(&problem.status) => {
            let mut errors = Errors::from_api(&problem.errors, &["name", "email", "text"]);
            if errors.is_empty() {
                errors.general.push(problem.message().to_owned());
            }
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
            form(&web, &visitor, status, &fields, errors).await
        }
        // What was typed stays in the form.
        Err(_) => {
            let why = "We couldn’t send your message just now. Please try again in a minute, or email us.";
            form(&web, &visitor, StatusCode::SERVICE_UNAVAILABLE, &fields, Errors::general(why)).await
        }
    }
}

/// The id that the form came with; a new one where it came with none.
fn message(fields: &Fields) -> Uuid {
    fields.get("message").parse().unwrap_or_else(|_| Uuid::now_v7())
}

/// The same message, sent again after an answer that was lost, is the same; what was changed before it was sent again is
/// another.
fn key(message: Uuid, request: &ContactRequest) -> String {
    let ContactRequest { name, email, text } = request;
    let mut hash = Sha256::new();
    for part in [name.as_deref().unwrap_or_default(), email.as_deref().unwrap_or_default(), text] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let words: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{message}.{words}")
}

async fn form(web: &Web, visitor: &Visitor, status: StatusCode, fields: &Fields, errors: Errors) -> PageResult {
    let policies = web.api.policies(visitor.caller()).await.unwrap_or_default();
    let shell = visitor.shell("Contact").section("contact").indexed("How to reach us: chat, a form and email.");
    let own = visitor.account().map(|account| account.email.clone());
    let mut shown = Vec::new();
    if own.is_none() {
        shown.push(Field::new("name", "Name").autocomplete("name").maxlength(100).optional());
        shown.push(Field::new("email", "Email").kind("email").autocomplete("email").maxlength(254));
    }
    // A character is up to two of the units that browsers count.
    let longest = 2 * u32::try_from(MAX_MESSAGE_CHARS).unwrap_or(u32::MAX);
    shown.push(Field::new("text", "Message").rows(6).maxlength(longest));
    let contact = ContactPage {
        shell,
        fields: shown.into_iter().map(|field| field.fill(fields, &errors)).collect(),
        errors,
        message: message(fields),
        own,
        email: web.settings.email.clone(),
        hours: hours(&web.settings.hours, web.settings.utc_offset_minutes),
        sends_mail: visitor.sends_mail(),
        policies,
    };
    page_with(status, &contact)
}

/// `Mon–Fri 09:00–18:00, Sat 10:00–14:00 (UTC+1)`
fn hours(all: &[String], offset_minutes: i32) -> String {
    if all.is_empty() {
        return String::new();
    }
    let times = all.iter().map(|hours| {
        let (days, time) = hours.split_once(' ').unwrap_or((hours, ""));
        let days = days.split('-').map(capitalised).collect::<Vec<_>>().join("–");
        format!("{days} {}", time.replace('-', "–"))
    });
    let (hours, minutes) = (offset_minutes.unsigned_abs() / 60, offset_minutes.unsigned_abs() % 60);
    let sign = if offset_minutes < 0 { '−' } else { '+' };
    let zone = match (hours, minutes) {
        (0, 0) => "UTC".to_owned(),
        (hours, 0) => format!("UTC{sign}{hours}"),
        (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
    };
    format!("{} ({zone})", times.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_read_well() {
        let all = ["mon-fri 09:00-18:00".to_owned(), "sun 10:00-14:00".to_owned()];
        assert_eq!(hours(&all, 60), "Mon–Fri 09:00–18:00, Sun 10:00–14:00 (UTC+1)");
        assert_eq!(hours(&all[1..], 0), "Sun 10:00–14:00 (UTC)");
        assert_eq!(hours(&[], 60), "");
    }
}
