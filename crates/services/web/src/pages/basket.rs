//! The basket: looking at it, adding, changing.

use askama::Template;
use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::basket::{AddItem, Basket, BasketLine};
use bookworm_kernel::{BookId, ErrorCode, Money, Quantity};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::{
    api::{ApiError, ProblemBody},
    error::{PageError, PageResult},
    flash::Flash,
    form::{Fields, Query},
    layout::{Shell, never_stored, page_with},
    pages::under_way::UnderWay,
    service::Web,
    session::{Visitor, count},
    shelf::within_a_moment,
    view::{self, local_path},
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
    lines: Vec<Line>,
    count: u32,
    subtotal: Money,
    prices_changed: bool,
    blocked: bool,
    /// Shown above the lines, because there is no line to show it beside.
    problem: String,
    removed: Option<Removed>,
}

/// A line as it is shown.
struct Line {
    book: BasketLine,
    /// What stands in its field: what was typed, when that could not be done.
    typed: String,
    /// What is wrong with it, shown beside the field.
    error: String,
    /// The most copies that can be put in.
    most: i64,
    /// Whether there are fewer copies than are in the basket.
    short: bool,
}

/// What was just taken out, so that it can be put back.
struct Removed {
    book_id: BookId,
    title: String,
    language: Option<String>,
    copies: Quantity,
}

/// A quantity that could not be set: of which book, what was typed, and why not.
struct Refused {
    book: String,
    typed: String,
    why: String,
}

impl BasketPart {
    async fn new(web: &Web, visitor: &Visitor, basket: Basket) -> Self {
        let lines: Vec<Line> = basket.items.iter().cloned().map(Line::new).collect();
        Self {
            csrf: visitor.csrf().to_owned(),
            // Without it the basket is still of use; the checkout will say it.
            under_way: UnderWay::of(web, visitor, &basket).await.unwrap_or_default(),
            count: count(&basket),
            prices_changed: basket.items.iter().any(|line| line.price_changed),
            blocked: lines.iter().any(|line| line.short),
            subtotal: basket.subtotal,
            lines,
            problem: String::new(),
            removed: None,
        }
    }

    /// Says at the line why its quantity is still the old one.
    fn with_refusal(mut self, refused: Refused) -> Self {
        match self.lines.iter_mut().find(|line| line.book.book_id.to_string() == refused.book) {
            Some(line) => (line.typed, line.error) = (refused.typed, refused.why),
            None => self.problem = refused.why,
        }
        self
    }

    fn with_removed(mut self, removed: Option<Removed>) -> Self {
        self.removed = removed.filter(|removed| self.lines.iter().all(|line| line.book.book_id != removed.book_id));
        self
    }
}

impl Line {
    fn new(book: BasketLine) -> Self {
        Self {
            typed: book.quantity.to_string(),
            error: String::new(),
            most: book.available.clamp(1, Quantity::MAX.into()),
            short: book.available < i64::from(book.quantity.get()),
            book,
        }
    }
}

/// `GET /basket`; after something was taken out, with `removed` (its id) and `copies`.
pub(crate) async fn show(State(web): State<Web>, visitor: Visitor, query: Query) -> PageResult {
    let asked = (query.get("removed"), query.get("copies").parse::<i64>().ok());
    let (answer, removed) = tokio::join!(web.api.basket(visitor.caller()), removed(&web, &visitor, asked));
    let answer = answer?;
    visitor.store_basket(&answer);
    let part = BasketPart::new(&web, &visitor, answer.basket).await.with_removed(removed);
    whole(&visitor, StatusCode::OK, part)
}

fn whole(visitor: &Visitor, status: StatusCode, basket: BasketPart) -> PageResult {
    let title = if status.is_success() { "Your basket" } else { "Error: your basket" };
    let mut shell = visitor.shell(title).section("basket");
    shell.basket_count = basket.count;
    page_with(status, &BasketPage { shell, basket }).map(never_stored)
}

/// The book that can be put back; none when it is not sold any more.
async fn removed(web: &Web, visitor: &Visitor, (id, copies): (&str, Option<i64>)) -> Option<Removed> {
    let copies = copies.and_then(|copies| Quantity::new(copies).ok())?;
    let book = if id.is_empty() { None } else { within_a_moment(web.api.book(visitor.caller(), id)).await }?;
    Some(Removed { book_id: book.id, title: book.title, language: book.language, copies })
}

/// `POST /basket/items`: `book_id`, `quantity`, `next`.
pub(crate) async fn add(State(web): State<Web>, visitor: Visitor, fields: Fields) -> PageResult {
    let next = local_path(fields.get("next")).to_owned();
    let item = read_item(&fields)?;
    match web.api.add_to_basket(visitor.caller(), item).await {
        Ok(answer) => {
            visitor.store_basket(&answer);
            let title = answer
                .basket
                .items
                .iter()
                .find(|line| line.book_id == item.book_id)
                .map_or("The book", |line| line.title.as_str());
            let message = format!("“{title}” is in your basket.");
            if visitor.wants_fragment() {
                return fragment(StatusCode::OK, &BasketPart::new(&web, &visitor, answer.basket).await);
            }
            if visitor.wants_json() {
                return Ok(Json(json!({"message": message, "count": count(&answer.basket)})).into_response());
            }
            visitor.flash(&Flash::success(message));
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
    let typed = fields.get("quantity");
    let most = i64::from(Quantity::MAX);
    let outcome = match typed.parse::<i64>() {
        Ok(quantity) if (0..=most).contains(&quantity) => web.api.set_quantity(visitor.caller(), &book, quantity).await,
        Ok(_) => Err(invalid(TOO_MANY)),
        Err(_) if !typed.is_empty() && typed.chars().all(|c| c.is_ascii_digit()) => Err(invalid(TOO_MANY)),
        Err(_) => Err(invalid("Enter a whole number from 0 to 99.")),
    };
    let answer = match outcome {
        Ok(answer) => answer,
        Err(error) => {
            let Some((status, why)) = refusal(&error) else { return Err(error.into()) };
            let answer = web.api.basket(visitor.caller()).await?;
            visitor.store_basket(&answer);
            let refused = Refused { book, typed: typed.to_owned(), why };
            let part = BasketPart::new(&web, &visitor, answer.basket).await.with_refusal(refused);
            return if visitor.wants_fragment() { fragment(status, &part) } else { whole(&visitor, status, part) };
        }
    };
    visitor.store_basket(&answer);
    let copies = fields.get("copies").parse::<i64>().ok().filter(|_| typed == "0");
    if visitor.wants_fragment() {
        let removed = removed(&web, &visitor, (&book, copies)).await;
        return fragment(StatusCode::OK, &BasketPart::new(&web, &visitor, answer.basket).await.with_removed(removed));
    }
    let back = match copies {
        Some(copies) => format!("/basket?removed={}&copies={copies}", view::encoded(&book).replace("%2D", "-")),
        None => "/basket".to_owned(),
    };
    Ok(Redirect::to(&back).into_response())
}

/// The part alone, marked as such: the island shows it whatever its status.
fn fragment(status: StatusCode, part: &BasketPart) -> PageResult {
    let mut response = page_with(status, part).map(never_stored)?;
    response.headers_mut().insert("x-fragment", HeaderValue::from_static("basket"));
    Ok(response)
}

const TOO_MANY: &str = "You can order up to 99 copies of a book.";

fn read_item(fields: &Fields) -> Result<AddItem, PageError> {
    let book_id = fields.get("book_id").parse().map_err(|_| PageError::NotFound)?;
    let quantity = fields.get("quantity").parse::<i64>().ok().and_then(|pieces| Quantity::new(pieces).ok());
    let quantity = quantity.ok_or_else(|| invalid(TOO_MANY))?;
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

/// A refusal that the visitor can do something about is shown on the page they came from; the rest is an error page.
fn refused(visitor: &Visitor, error: ApiError, back: &str) -> PageResult {
    let Some((status, message)) = refusal(&error) else { return Err(error.into()) };
    if visitor.wants_json() {
        return Ok((status, Json(json!({"error": message}))).into_response());
    }
    visitor.flash(&Flash::problem(message));
    Ok(Redirect::to(back).into_response())
}

/// Why the basket did not take it, in words, when the visitor can do something about it.
fn refusal(error: &ApiError) -> Option<(StatusCode, String)> {
    let problem = error.problem().filter(|problem| (400..500).contains(&problem.status) && problem.status != 401)?;
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    let words = match ErrorCode::parse(&problem.code) {
        Some(ErrorCode::NotFound) => "That book isn’t in your basket any more.",
        Some(ErrorCode::BookUnavailable) => "We don’t sell this book any more.",
        Some(ErrorCode::BasketFull) => "Your basket is full. Check out or remove something first.",
        Some(ErrorCode::ValidationFailed) if problem.detail.is_none() => TOO_MANY,
        Some(ErrorCode::TooManyRequests) => "That was too fast. Wait a moment and try again.",
        _ => return Some((status, problem.message().to_owned())),
    };
    Some((status, words.to_owned()))
}
