//! A forgotten password: asking for a link, and setting a new one with it.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::identity::{PasswordResetCheck, PasswordResetConfirmation, PasswordResetRequest};
use http::StatusCode;

use crate::{
    api::{ApiError, ApiResult},
    error::{PageError, PageResult},
    flash::Flash,
    form::{Errors, Field, Fields, Query},
    layout::{Shell, never_stored, page_with},
    service::Web,
    session::Visitor,
};

const SENT: &str = "If that email has an account, we’ve sent it a reset link. The link works for an hour.";
/// Where mail is only stored, nobody gets the link but from staff.
const NOT_SENT: &str = "We can’t send email at the moment. Please contact us and we’ll help you get back in.";
/// Expired, used before, or replaced by a new password.
const EXPIRED: &str = "This link has expired or has been used. Request a new one.";

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    shell: Shell,
    errors: Errors,
    heading: &'static str,
    intro: &'static str,
    action: &'static str,
    token: String,
    fields: Vec<Field>,
    button: &'static str,
}

/// `GET /forgot-password`
pub(crate) async fn forgot(visitor: Visitor, query: Query) -> PageResult {
    ask_form(&visitor, StatusCode::OK, &query, &Errors::default())
}

/// `POST /forgot-password`: `email`.
pub(crate) async fn ask(State(web): State<Web>, visitor: Visitor, fields: Fields) -> PageResult {
    if fields.get("email").is_empty() {
        let mut errors = Errors::default();
        errors.add("email", "Enter your email.");
        return ask_form(&visitor, StatusCode::BAD_REQUEST, &fields, &errors);
    }
    let request = PasswordResetRequest { email: fields.get("email").to_owned() };
    match refused(web.api.ask_password_reset(visitor.caller(), &request).await, &["email"])? {
        None => {
            let message = if visitor.sends_mail() { Flash::success(SENT) } else { Flash::problem(NOT_SENT) };
            visitor.flash(&message);
            Ok(Redirect::to("/sign-in").into_response())
        }
        Some((status, errors)) => ask_form(&visitor, status, &fields, &errors),
    }
}

/// `GET /reset-password?token=`: where the link in the mail leads. A link that sets nothing any more says so before
/// anybody thinks of a password.
pub(crate) async fn choose(State(web): State<Web>, visitor: Visitor, query: Query) -> PageResult {
    if query.get("token").is_empty() {
        return start_again(&visitor, "This link is incomplete. Copy all of it from the email, or request a new one.");
    }
    let request = PasswordResetCheck { token: query.get("token").to_owned() };
    // When the answer is another one, such as too many requests, sending the form will show it.
    if web.api.check_password_reset(visitor.caller(), &request).await.is_err_and(|error| is_about_the_link(&error)) {
        return start_again(&visitor, EXPIRED);
    }
    choose_form(&visitor, StatusCode::OK, &query, &Errors::default())
}

/// `POST /reset-password`: `token`, `new_password`.
pub(crate) async fn set(State(web): State<Web>, visitor: Visitor, fields: Fields) -> PageResult {
    let request = PasswordResetConfirmation {
        token: fields.get("token").to_owned(),
        new_password: fields.raw("new_password").to_owned(),
    };
    let answer = web.api.reset_password(visitor.caller(), &request).await;
    if answer.as_ref().is_err_and(is_about_the_link) {
        return start_again(&visitor, EXPIRED);
    }
    match refused(answer, &["new_password"])? {
        None => {
            // Every session of the account has ended, this browser's among them if it had one.
            visitor.drop_tokens();
            visitor.flash(&Flash::success("Your password has been changed. Sign in with the new one."));
            Ok(Redirect::to("/sign-in").into_response())
        }
        Some((status, errors)) => choose_form(&visitor, status, &fields, &errors),
    }
}

fn is_about_the_link(error: &ApiError) -> bool {
    error.problem().is_some_and(|problem| problem.errors.iter().any(|error| error.field == "/token"))
}

/// Nothing can be set with this link: the way on is a new one.
fn start_again(visitor: &Visitor, why: &str) -> PageResult {
    ask_form(visitor, StatusCode::BAD_REQUEST, &Fields::default(), &Errors::general(why))
}

/// What to show beside the form when the API refused; `None` when it accepted.
fn refused(answer: ApiResult<()>, fields: &[&'static str]) -> Result<Option<(StatusCode, Errors)>, PageError> {
    match answer {
        Ok(()) => Ok(None),
        Err(ApiError::Problem(problem)) if (400..500).contains(&problem.status) => {
            let mut errors = Errors::from_api(&problem.errors, fields);
            if errors.is_empty() {
                errors.general.push(problem.message().to_owned());
            }
            Ok(Some((StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST), errors)))
        }
        Err(error) => Err(error.into()),
    }
}

fn ask_form(visitor: &Visitor, status: StatusCode, typed: &Fields, errors: &Errors) -> PageResult {
    let email = Field::new("email", "Email")
        .kind("email")
        .autocomplete("username")
        .inputmode("email")
        .maxlength(254)
        .fill(typed, errors);
    let title = if errors.is_empty() { "Forgot your password?" } else { "Error: forgot your password?" };
    let form = PasswordPage {
        shell: visitor.shell(title),
        errors: errors.clone(),
        heading: "Forgot your password?",
        intro: "Enter your email and we’ll send you a link to set a new password.",
        action: "/forgot-password",
        token: String::new(),
        fields: vec![email],
        button: "Send reset link",
    };
    page_with(status, &form).map(never_stored)
}

fn choose_form(visitor: &Visitor, status: StatusCode, typed: &Fields, errors: &Errors) -> PageResult {
    let password = Field::new("new_password", "New password")
        .kind("password")
        .autocomplete("new-password")
        .hint("At least 8 characters. A few unrelated words make a strong password.")
        .maxlength(128)
        .fill(typed, errors);
    let title = if errors.is_empty() { "Set a new password" } else { "Error: set a new password" };
    let form = PasswordPage {
        shell: visitor.shell(title),
        errors: errors.clone(),
        heading: "Set a new password",
        intro: "You’ll be signed out on all devices.",
        action: "/reset-password",
        token: typed.get("token").to_owned(),
        fields: vec![password.value("")],
        button: "Change password",
    };
    page_with(status, &form).map(never_stored)
}
