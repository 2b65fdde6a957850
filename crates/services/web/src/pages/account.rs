//! The account, its orders, and signing out.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::{identity::Account, ordering::Order};

use crate::{
    error::PageResult,
    flash::Flash,
    form::Query,
    layout::{Shell, never_stored, page},
    service::Web,
    session::Visitor,
    view::{encoded, sign_in_url},
};

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    shell: Shell,
    account: Account,
    sends_mail: bool,
    orders: Vec<Order>,
}

#[derive(Template)]
#[template(path = "orders.html")]
struct OrdersPage {
    shell: Shell,
    orders: Vec<Order>,
    next_href: Option<String>,
}

/// `GET /account`
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor) -> PageResult {
    let Some(me) = visitor.account() else {
        return Ok(Redirect::to(&sign_in_url(visitor.here())).into_response());
    };
    let mine = [("limit", "5"), ("customer_id", me.sub.as_str())];
    let (account, orders) = tokio::try_join!(web.api.me(visitor.caller()), web.api.orders(visitor.caller(), &mine))?;
    let shell = visitor.shell("Your account").section("account");
    page(&AccountPage { shell, account, sends_mail: visitor.sends_mail(), orders: orders.items }).map(never_stored)
}

/// `GET /orders`: one's own, also for staff.
pub(crate) async fn orders(State(web): State<Web>, visitor: Visitor, query: Query) -> PageResult {
    let Some(me) = visitor.account() else {
        return Ok(Redirect::to(&sign_in_url(visitor.here())).into_response());
    };
    let mine = [("limit", "20"), ("customer_id", me.sub.as_str()), ("cursor", query.get("cursor"))];
    let list = web.api.orders(visitor.caller(), &mine).await?;
    let next_href = list.next.map(|cursor| format!("/orders?cursor={}", encoded(&cursor)));
    let shell = visitor.shell("Your orders").section("account");
    page(&OrdersPage { shell, orders: list.items, next_href }).map(never_stored)
}

/// `POST /sign-out`
pub(crate) async fn sign_out(State(web): State<Web>, visitor: Visitor) -> PageResult {
    if let Some(token) = visitor.refresh_token() {
        // The cookies go either way; a session that could not be ended there runs out by itself.
        let _ = web.api.sign_out(visitor.caller(), token.to_owned()).await;
    }
    visitor.drop_tokens();
    visitor.store_count(0);
    visitor.flash(&Flash::success("You are signed out."));
    Ok(Redirect::to("/").into_response())
}
