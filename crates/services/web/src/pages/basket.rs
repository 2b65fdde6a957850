//! The basket: looking at it, adding, changing.

use askama::Template;
use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::basket::{AddItem, Basket, BasketLine};
use bookworm_kernel::{ErrorCode, Money, Quantity};
use http::StatusCode;
use serde_json::json;

use crate::{
    Web,
    api::{ApiError, ProblemBody},
    error::{PageError, PageResult},
    flash::Flash,
    form::Fields,
    layout::{Shell, never_stored, page},
    pages::under_way::UnderWay,
    session::{Visitor, count},
    view::local_path,
};

#[derive(Template)]
#[template(path = "basket.html")]
struct BasketPage {
    shell: Shell,
    basket: BasketPart,
}

/// The part that changes, alone for the island.
#[derive(Template)]
#[template(path = "parts/basket.html")]
struct BasketPart {
    csrf: String,
    under_way: Option<UnderWay>,
    lines: Vec<BasketLine>,
    count: u32,
    subtotal: Money,
    changed: bool,
    blocked: bool,
}

impl BasketPart {
    async fn new(web: &Web, visitor: &Visitor, basket: Basket) -> Self {
        let short = |line: &BasketLine| line.available < i64::from(line.quantity.get());
        Self {
            csrf: visitor.csrf().to_owned(),
            // Without it the basket is still of use; the checkout will say it.
            under_way: UnderWay::of(web, visitor, &basket).await.unwrap_or_default(),
            count: count(&basket),
            changed: basket.items.iter().any(|line| line.price_changed || short(line)),
            blocked: basket.items.iter().any(short),
            subtotal: basket.subtotal,
            lines: basket.items,
        }
    }
}

/// `GET /basket`
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor) -> PageResult {
    let answer = web.api.basket(visitor.caller()).await?;
    visitor.keep_basket(&answer);
    let mut shell = visitor.shell("Your basket").section("basket");
    shell.basket_count = count(&answer.basket);
    let basket = BasketPart::new(&web, &visitor, answer.basket).await;
    page(&BasketPage { shell, basket }).map(never_stored)
}

/// `POST /basket/items`: `book_id`, `quantity`, `next`.
pub(crate) async fn add(State(web): State<Web>, visitor: Visitor, fields: Fields) -> PageResult {
    let next = local_path(fields.get("next")).to_owned();
    let item = read_item(&fields)?;
    match web.api.add_to_basket(visitor.caller(), item).await {
        Ok(answer) => {
            visitor.keep_basket(&answer);
            let title = answer
                .basket
                .items
                .iter()
                .find(|line| line.book_id == item.book_id)
                .map_or("The book", |line| line.title.as_str());
            let message = format!("“{title}” is in your basket.");
            if visitor.wants_json() {
                return Ok(Json(json!({"message": message, "count": count(&answer.basket)})).into_response());
            }
            visitor.tell(&Flash::success(message));
            Ok(Redirect::to("/basket").into_response())
        }
        Err(error) => refused(&visitor, error, &next),
    }
}

/// `POST /basket/items/{book_id}`: `quantity`, 0 to remove.
pub(crate) async fn set(
    State(web): State<Web>,
    visitor: Visitor,
    Path(book): Path<String>,
    fields: Fields,
) -> PageResult {
    let quantity = fields.get("quantity").parse::<i64>().ok().filter(|quantity| (0..=99).contains(quantity));
    let outcome = match quantity {
        Some(quantity) => web.api.set_quantity(visitor.caller(), &book, quantity).await,
        None => Err(invalid("Between 0 and 99 copies of a book fit into a basket.")),
    };
    match outcome {
        Ok(answer) => {
            visitor.keep_basket(&answer);
            if visitor.wants_fragment() {
                let basket = BasketPart::new(&web, &visitor, answer.basket).await;
                return page(&basket).map(never_stored);
            }
            Ok(Redirect::to("/basket").into_response())
        }
        Err(error) => refused(&visitor, error, "/basket"),
    }
}

fn read_item(fields: &Fields) -> Result<AddItem, PageError> {
    let book_id = fields.get("book_id").parse().map_err(|_| PageError::NotFound)?;
    let quantity = fields.get("quantity").parse::<i64>().ok().and_then(|pieces| Quantity::new(pieces).ok());
    let quantity = quantity.ok_or_else(|| invalid("Between 1 and 99 copies of a book fit into a basket."))?;
    Ok(AddItem { book_id, quantity })
}

fn invalid(message: &str) -> ApiError {
    ApiError::Problem(Box::new(ProblemBody {
        status: 400,
        code: ErrorCode::ValidationFailed.as_str().to_owned(),
        detail: Some(message.to_owned()),
        ..ProblemBody::default()
    }))
}

/// A refusal that the visitor can do something about is told on the page they came from; the rest is an error page.
fn refused(visitor: &Visitor, error: ApiError, back: &str) -> PageResult {
    let Some(problem) = error.problem().filter(|problem| (400..500).contains(&problem.status) && problem.status != 401)
    else {
        return Err(error.into());
    };
    let message = match problem.errors.first() {
        Some(field) if problem.detail.is_none() => field.message.clone(),
        _ => problem.message().to_owned(),
    };
    if visitor.wants_json() || visitor.wants_fragment() {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
        return Ok((status, Json(json!({"error": message}))).into_response());
    }
    visitor.tell(&Flash::problem(message));
    Ok(Redirect::to(back).into_response())
}
