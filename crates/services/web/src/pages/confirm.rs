//! Where links lead that prove an e-mail address: a page with a button, because programs that read mails follow links.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::{identity::EmailConfirmation, operations::MailConfirmation};
use http::StatusCode;

use crate::{
    api::{ApiError, ApiResult},
    error::PageResult,
    flash::Flash,
    form::{Fields, Query},
    layout::{Shell, never_stored, page_with},
    service::Web,
    session::Visitor,
    view::sign_in_url,
};

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    shell: Shell,
    heading: &'static str,
    intro: &'static str,
    action: &'static str,
    token: String,
    button: &'static str,
    expired: &'static str,
}

/// What differs between the two links.
struct Words {
    action: &'static str,
    heading: &'static str,
    intro: &'static str,
    button: &'static str,
    expired: &'static str,
    done: &'static str,
}

const ACCOUNT: Words = Words {
    action: "/confirm-email",
    heading: "Confirm your email address",
    intro: "One step left: tell us that this address is yours.",
    button: "Confirm my email address",
    expired: "This link has expired. Sign in and request a new one on your account page.",
    done: "Thank you. Your email address is confirmed.",
};

const CHAT: Words = Words {
    action: "/confirm-address",
    heading: "Send it to this address?",
    intro: "Somebody chatting with us gave this email address. If that was you, we’ll send what was said there.",
    button: "Yes, send it to me",
    expired: "This link has expired. Ask for the transcript again in the chat.",
    done: "Thank you. The email is on its way.",
};

/// `GET /confirm-email?token=`: from the mail that follows a new account.
pub(crate) async fn account(visitor: Visitor, query: Query) -> PageResult {
    show(&visitor, &ACCOUNT, StatusCode::OK, query.get("token"))
}

/// `POST /confirm-email`: `token`.
pub(crate) async fn confirm_account(State(web): State<Web>, visitor: Visitor, fields: Fields) -> PageResult {
    let request = EmailConfirmation { token: fields.get("token").to_owned() };
    let answer = web.api.confirm_email(visitor.caller(), &request).await;
    let next = if visitor.account().is_some() { "/account" } else { "/sign-in" };
    finish(&visitor, &ACCOUNT, answer, next)
}

/// `GET /confirm-address?token=`: from the mail that follows a chat.
pub(crate) async fn chat(visitor: Visitor, query: Query) -> PageResult {
    show(&visitor, &CHAT, StatusCode::OK, query.get("token"))
}

/// `POST /confirm-address`: `token`.
pub(crate) async fn confirm_chat(State(web): State<Web>, visitor: Visitor, fields: Fields) -> PageResult {
    let request = MailConfirmation { token: fields.get("token").to_owned() };
    finish(&visitor, &CHAT, web.api.confirm_mail(visitor.caller(), &request).await, "/")
}

/// `POST /account/confirm-email`: sends the link again.
pub(crate) async fn send_again(State(web): State<Web>, visitor: Visitor) -> PageResult {
    if visitor.account().is_none() {
        return Ok(Redirect::to(&sign_in_url("/account")).into_response());
    }
    match web.api.send_confirmation(visitor.caller()).await {
        Ok(()) if !visitor.sends_mail() => {
            visitor.flash(&Flash::problem("This shop doesn’t send emails yet, so the link couldn’t be sent."));
        }
        Ok(()) => visitor.flash(&Flash::success("We’ve emailed you a new link. It works for 48 hours.")),
        Err(ApiError::Problem(problem)) if problem.status == 429 => {
            visitor.flash(&Flash::problem(problem.message()));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Redirect::to("/account").into_response())
}

fn finish(visitor: &Visitor, words: &Words, answer: ApiResult<()>, next: &str) -> PageResult {
    match answer {
        Ok(()) => {
            visitor.flash(&Flash::success(words.done));
            Ok(Redirect::to(next).into_response())
        }
        Err(ApiError::Problem(problem)) if problem.status == 400 => show(visitor, words, StatusCode::BAD_REQUEST, ""),
        Err(error) => Err(error.into()),
    }
}

/// The page with the button, or, without a token, what to do instead.
fn show(visitor: &Visitor, words: &Words, status: StatusCode, token: &str) -> PageResult {
    let page = ConfirmPage {
        shell: visitor.shell(words.heading),
        heading: words.heading,
        intro: words.intro,
        action: words.action,
        token: token.to_owned(),
        button: words.button,
        expired: words.expired,
    };
    page_with(status, &page).map(never_stored)
}
