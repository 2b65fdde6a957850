//! Signing in.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::identity::{TokenRequest, TokenResponse};
use http::StatusCode;

use crate::{
    api::{ApiError, Caller},
    error::PageResult,
    form::{Errors, Field, Fields, Query},
    layout::{Shell, never_stored, page_with},
    service::Web,
    session::{Visitor, count},
    view::local_path,
};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    shell: Shell,
    errors: Errors,
    fields: Vec<Field>,
    next: String,
}

/// `GET /sign-in?next=`
pub(crate) async fn show(visitor: Visitor, query: Query) -> PageResult {
    if visitor.account().is_some() {
        let next = if query.get("next").is_empty() { "/account" } else { local_path(query.get("next")) };
        return Ok(Redirect::to(next).into_response());
    }
    render(&visitor, StatusCode::OK, &query, &Errors::default())
}

/// `POST /sign-in`: `email`, `password`, `next`.
pub(crate) async fn submit(State(web): State<Web>, visitor: Visitor, fields: Fields) -> PageResult {
    let mut errors = Errors::default();
    if fields.get("email").is_empty() {
        errors.add("email", "Enter your email.");
    }
    if fields.raw("password").is_empty() {
        errors.add("password", "Enter your password.");
    }
    if !errors.is_empty() {
        return render(&visitor, StatusCode::BAD_REQUEST, &fields, &errors);
    }
    let request =
        TokenRequest::Password { email: fields.get("email").to_owned(), password: fields.raw("password").to_owned() };
    let guest = Caller { access_token: None, ..visitor.caller().clone() };
    match web.api.token(&guest, &request).await {
        Ok(tokens) => {
            welcome(&web, &visitor, &tokens).await;
            Ok(Redirect::to(local_path(fields.get("next"))).into_response())
        }
        Err(ApiError::Problem(problem)) if problem.status == 429 => {
            let wait = match problem.retry_after {
                Some(seconds) if seconds > 90 => format!("Try again in {} minutes.", seconds.div_ceil(60)),
                Some(0 | 1) => "Try again in 1 second.".to_owned(),
                Some(seconds) => format!("Try again in {seconds} seconds."),
                None => "Try again in a few minutes.".to_owned(),
            };
            let errors = Errors::general(format!("Too many attempts. {wait}"));
            render(&visitor, StatusCode::TOO_MANY_REQUESTS, &fields, &errors)
        }
        Err(ApiError::Problem(problem)) if (400..500).contains(&problem.status) => {
            let errors = Errors::general("That email and password don’t match.");
            render(&visitor, StatusCode::UNAUTHORIZED, &fields, &errors)
        }
        Err(error) => Err(error.into()),
    }
}

/// Stores the tokens in cookies and reads the basket once, which by now has what the guest had chosen.
pub(crate) async fn welcome(web: &Web, visitor: &Visitor, tokens: &TokenResponse) {
    visitor.store_tokens(tokens);
    let customer = Caller { access_token: Some(tokens.access_token.clone()), ..visitor.caller().clone() };
    if let Ok(answer) = web.api.basket(&customer).await {
        visitor.drop_guest_basket();
        visitor.store_count(count(&answer.basket));
    }
}

fn render(visitor: &Visitor, status: StatusCode, typed: &Fields, errors: &Errors) -> PageResult {
    let fields = vec![
        Field::new("email", "Email")
            .kind("email")
            .autocomplete("username")
            .inputmode("email")
            .maxlength(254)
            .fill(typed, errors),
        Field::new("password", "Password")
            .kind("password")
            .autocomplete("current-password")
            .maxlength(128)
            .fill(typed, errors)
            .value(""),
    ];
    let title = if errors.is_empty() { "Sign in" } else { "Error: sign in" };
    let form = SignInPage {
        shell: visitor.shell(title),
        errors: errors.clone(),
        fields,
        next: local_path(typed.get("next")).to_owned(),
    };
    page_with(status, &form).map(never_stored)
}
