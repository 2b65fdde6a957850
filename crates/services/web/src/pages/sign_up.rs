//! Creating an account.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::identity::{RegisterRequest, TokenRequest};
use bookworm_kernel::ErrorCode;
use http::StatusCode;

use crate::{
    api::ApiError,
    error::PageResult,
    flash::Flash,
    form::{Errors, Field, Fields, Query},
    layout::{Shell, never_stored, page_with},
    service::Web,
    session::Visitor,
    view::local_path,
};

#[derive(Template)]
#[template(path = "sign_up.html")]
struct SignUpPage {
    shell: Shell,
    errors: Errors,
    fields: Vec<Field>,
    next: String,
}

/// `GET /sign-up?next=`
pub(crate) async fn show(visitor: Visitor, query: Query) -> PageResult {
    if visitor.account().is_some() {
        return Ok(Redirect::to("/account").into_response());
    }
    render(&visitor, StatusCode::OK, &query, &Errors::default())
}

/// `POST /sign-up`: `name`, `email`, `password`, `next`.
pub(crate) async fn submit(State(web): State<Web>, visitor: Visitor, fields: Fields) -> PageResult {
    let (name, email, password) = (fields.get("name"), fields.get("email"), fields.raw("password"));
    let mut errors = Errors::default();
    if name.is_empty() {
        errors.add("name", "Enter your name.");
    }
    if email.is_empty() {
        errors.add("email", "Enter your email.");
    }
    if password.chars().count() < 8 {
        errors.add("password", "Choose a password with at least 8 characters.");
    }
    if !errors.is_empty() {
        return render(&visitor, StatusCode::BAD_REQUEST, &fields, &errors);
    }
    let request = RegisterRequest { name: name.to_owned(), email: email.to_owned(), password: password.to_owned() };
    match web.api.register(visitor.caller(), &request).await {
        Ok(account) => {
            let request = TokenRequest::Password { email: email.to_owned(), password: password.to_owned() };
            let tokens = web.api.token(visitor.caller(), &request).await?;
            super::sign_in::welcome(&web, &visitor, &tokens).await;
            let sent = if visitor.sends_mail() { " We’ve emailed you a link to confirm your address." } else { "" };
            visitor.flash(&Flash::success(format!("Welcome, {}. Your account is ready.{sent}", account.name)));
            Ok(Redirect::to(local_path(fields.get("next"))).into_response())
        }
        Err(ApiError::Problem(problem)) if (400..500).contains(&problem.status) => {
            let mut errors = Errors::from_api(&problem.errors, &["name", "email", "password"]);
            if problem.code == ErrorCode::EmailTaken.as_str() {
                errors.add("email", "That email is already registered. Sign in, or use another one.");
            }
            if errors.is_empty() {
                errors.general.push(problem.message().to_owned());
            }
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
            render(&visitor, status, &fields, &errors)
        }
        Err(error) => Err(error.into()),
    }
}

fn render(visitor: &Visitor, status: StatusCode, typed: &Fields, errors: &Errors) -> PageResult {
    let password = Field::new("password", "Password")
        .kind("password")
        .autocomplete("new-password")
        .hint("At least 8 characters. A few unrelated words make a strong password.")
        .maxlength(128)
        .fill(typed, errors);
    let fields = vec![
        Field::new("name", "Name").autocomplete("name").maxlength(100).fill(typed, errors),
        Field::new("email", "Email")
            .kind("email")
            .autocomplete("username")
            .inputmode("email")
            .maxlength(254)
            .fill(typed, errors),
        password.value(""),
    ];
    let title = if errors.is_empty() { "Create an account" } else { "Error: create an account" };
    let form = SignUpPage {
        shell: visitor.shell(title),
        errors: errors.clone(),
        fields,
        next: local_path(typed.get("next")).to_owned(),
    };
    page_with(status, &form).map(never_stored)
}
