//! The public REST API as its own customer sees it: one typed method for each endpoint that a page needs.

use std::{
    convert::Infallible,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::body::{Body, to_bytes};
use bookworm_contracts::rest::{
    Page,
    basket::{AddItem, Basket, SetQuantity},
    catalog::{
        Author, AuthorDoubles, Book, BookInput, MergeAuthor, Recommendations, SearchResponse, SearchStatus,
        SplitAuthor, Stock, StockAdjustment, Subject, Synonyms,
    },
    chat::{CannedReplies, ContactRequest, Policy},
    coupons::{Coupon, CouponInput, CouponUse},
    finance::{LedgerBalance, Payment, ReconciliationReport},
    identity::{
        Account, EmailConfirmation, PasswordResetCheck, PasswordResetConfirmation, PasswordResetRequest,
        RegisterRequest, SignOutRequest, TokenRequest, TokenResponse,
    },
    imports::{Import, ImportMapping, Imports},
    operations::{
        DeadLetter, Fleet, Health, Mail, MailConfirmation, MailRefusals, ShopHealth, ShopStatus, Trace, Traces,
    },
    ordering::{
        CancelRequest, CheckoutRequest, Order, OrderEvent, PaymentMethod, Quote, QuoteRequest, RefundRequest,
        ShipRequest, ShippingCountry, ShippingMethod,
    },
    rating::{
        AnswerInput, AppealInput, DecisionInput, Invitation, InvitationCheck, ModeratedReview, ReportInput, Review,
        ReviewEvent, ReviewInput, ReviewPage,
    },
};
use bookworm_http::RequestContext;
use bookworm_kernel::{FieldError, Money};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tower::{ServiceExt, util::BoxCloneSyncService};

/// How long a page waits for one answer of the API. Checkout is the slowest: it waits for the payment provider.
const API_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest answer that a page reads.
const LONGEST_ANSWER: usize = 8 << 20;

const BASKET_TOKEN: HeaderName = HeaderName::from_static("basket-token");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REVIEW_INVITATION: HeaderName = HeaderName::from_static("review-invitation");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What every HTTP service looks like from here, in this process or behind a connection.
pub type ApiService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// Speaks to the public API. Cheap to clone.
#[derive(Clone)]
pub struct ApiClient {
    service: ApiService,
}

/// For whom a request is made.
#[derive(Clone, Default)]
pub struct Caller {
    /// Access token of somebody signed in.
    pub access_token: Option<String>,
    /// Secret of a guest's basket.
    pub basket_token: Option<String>,
    /// Headers of the page's own request that are handed on: correlation, trace context, client address.
    pub passed_on: HeaderMap,
    /// What the answers of this request were like.
    pub(crate) seen: Seen,
}

/// How old the oldest answer is that was given because the catalogue is away. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<AtomicU64>);

impl Seen {
    /// Notes an answer with these headers.
    fn note(&self, headers: &HeaderMap) {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if text(CACHE_STATUS).is_some_and(|status| status.contains("detail=stale-if-error")) {
            let seconds: u64 = text("age").and_then(|age| age.parse().ok()).unwrap_or_default();
            self.0.fetch_max(seconds.max(1), Ordering::Relaxed);
        }
    }

    /// Its age in seconds; `None` when all were answered as usual.
    pub(crate) fn stale_seconds(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }
}

/// Says of an answer which cache gave it, and why (RFC 9211).
const CACHE_STATUS: &str = "cache-status";

impl Caller {
    /// Takes over the headers that tie the API's work to the page's request.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut passed_on = HeaderMap::new();
        for name in [CORRELATION_ID, TRACEPARENT, FORWARDED_FOR] {
            if let Some(value) = headers.get(&name) {
                passed_on.insert(name, value.clone());
            }
        }
        // Ids that the request came without were given to it by the gateway.
        if let Some(context) = RequestContext::current() {
            context.write(&mut passed_on);
        }
        Self { passed_on, ..Self::default() }
    }

    /// The same request, made for nobody in particular: what the catalogue answers is the same for all.
    pub(crate) fn anonymous(&self) -> Self {
        Self { passed_on: self.passed_on.clone(), seen: self.seen.clone(), ..Self::default() }
    }
}

/// A problem (RFC 9457) as the API reports it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProblemBody {
    /// HTTP status.
    pub status: u16,
    /// Stable code, e.g. `price_changed`.
    pub code: String,
    /// The same for every occurrence.
    pub title: String,
    /// What happened this time, for people.
    pub detail: Option<String>,
    /// Names this request in the shop's traces.
    pub trace_id: Option<String>,
    /// Fields that are not valid.
    pub errors: Vec<FieldError>,
    /// Where to confirm a payment (`payment_action_required`, `order_in_progress`).
    pub action_url: Option<String>,
    /// The order that has the basket, and its key where one is needed (`order_in_progress`).
    pub order_id: Option<String>,
    /// See `order_id`.
    pub access_key: Option<String>,
    /// Lines of a basket that are meant (`insufficient_stock`, `price_changed`).
    pub lines: Vec<ProblemLine>,
    /// Seconds to wait before trying again.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

/// A line of a basket that an order cannot be made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProblemLine {
    /// The book.
    pub title: String,
    /// How many copies are wanted.
    pub wanted: Option<i64>,
    /// How many there are.
    pub available: Option<i64>,
    /// The price that was shown.
    pub old: Option<Money>,
    /// The price now.
    pub new: Option<Money>,
}

impl ProblemLine {
    /// As a sentence.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        let title = &self.title;
        match (self.wanted, self.available, self.old, self.new) {
            (Some(_), Some(available), ..) if available <= 0 => {
                Some(format!("“{title}” is out of stock. Please remove it."))
            }
            (Some(wanted), Some(available), ..) => {
                Some(format!("We only have {available} of “{title}”, and you wanted {wanted}."))
            }
            (_, _, Some(old), Some(new)) => Some(format!("“{title}” is now {new} (was {old}).")),
            _ => None,
        }
    }
}

impl ProblemBody {
    /// The message for a person: the detail, or the title when there is none.
    #[must_use]
    pub fn message(&self) -> &str {
        match &self.detail {
            Some(detail) if !detail.is_empty() => detail,
            _ => &self.title,
        }
    }
}

/// Why the API did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// It refused.
    #[error("the API refused with {} {}", .0.status, .0.code)]
    Problem(Box<ProblemBody>),
    /// No answer in time, or one that makes no sense.
    #[error("the API cannot be reached")]
    Unreachable,
}

impl ApiError {
    /// The stable code of a problem, `unavailable` when there was no answer.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Problem(problem) => &problem.code,
            Self::Unreachable => "unavailable",
        }
    }

    /// The message for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Problem(problem) => problem.message(),
            Self::Unreachable => "We’re having trouble right now. Nothing was changed; please try again.",
        }
    }

    /// The problem, when there is one.
    #[must_use]
    pub fn problem(&self) -> Option<&ProblemBody> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::Unreachable => None,
        }
    }

    /// HTTP status for the page that shows it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Problem(problem) => StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY),
            Self::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// What the API answers, or why not.
pub type ApiResult<T> = Result<T, ApiError>;

/// A basket, and the secret that it got when it is a guest's and new.
#[derive(Debug, Clone)]
pub struct BasketAnswer {
    /// The basket.
    pub basket: Basket,
    /// The guest's secret, to store in a cookie.
    pub token: Option<String>,
}

/// What became of a checkout.
#[derive(Debug)]
pub enum CheckoutAnswer {
    /// The order, confirmed or still being worked on.
    Order(Box<Order>),
    /// Accepted; this is where it can be looked at.
    Accepted {
        /// Path of the order in the API.
        location: String,
    },
}

/// Part of a query string.
type Pair<'a> = (&'a str, &'a str);

struct Call<'a> {
    method: Method,
    path: String,
    caller: &'a Caller,
    body: Option<Vec<u8>>,
    headers: HeaderMap,
}

impl<'a> Call<'a> {
    fn new(method: Method, caller: &'a Caller, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), caller, body: None, headers: HeaderMap::new() }
    }

    fn get(caller: &'a Caller, path: impl Into<String>) -> Self {
        Self::new(Method::GET, caller, path)
    }

    fn post(caller: &'a Caller, path: impl Into<String>) -> Self {
        Self::new(Method::POST, caller, path)
    }

    fn query(mut self, pairs: &[Pair<'_>]) -> Self {
        let mut separator = if self.path.contains('?') { '&' } else { '?' };
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            write!(self.path, "{separator}{name}={}", encoded(value)).expect("writing to a string cannot fail");
            separator = '&';
        }
        self
    }

    fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body).expect("the contracts' types are plain data"));
        self
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: bytes::Bytes,
}

impl Answer {
    fn parse<T: DeserializeOwned>(&self) -> ApiResult<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            tracing::error!(%error, status = %self.status, "the API's answer does not have the agreed shape");
            ApiError::Unreachable
        })
    }

    fn header(&self, name: &HeaderName) -> Option<String> {
        Some(self.headers.get(name)?.to_str().ok()?.to_owned())
    }
}

/// The request that a call is.
fn request(call: Call<'_>) -> ApiResult<Request<Body>> {
    let mut request = Request::builder()
        .method(call.method)
        .uri(format!("/api/v1{}", call.path))
        .body(call.body.map_or_else(Body::empty, Body::from))
        .map_err(|_| ApiError::Unreachable)?;
    let headers = request.headers_mut();
    headers.extend(call.caller.passed_on.clone());
    headers.extend(call.headers);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if !headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(token) = &call.caller.access_token
        && let Ok(mut value) = HeaderValue::try_from(format!("Bearer {token}"))
    {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    if let Some(token) = &call.caller.basket_token
        && let Ok(mut value) = HeaderValue::from_str(token)
    {
        value.set_sensitive(true);
        headers.insert(BASKET_TOKEN, value);
    }
    Ok(request)
}

impl ApiClient {
    /// Speaks to this service: the gateway's router here, or a connection to it.
    #[must_use]
    pub fn new(service: ApiService) -> Self {
        Self { service }
    }

    async fn send(&self, call: Call<'_>) -> ApiResult<Answer> {
        let caller = call.caller;
        let request = request(call)?;
        let exchange = async {
            let Ok(response) = self.service.clone().oneshot(request).await;
            let (parts, body) = response.into_parts();
            caller.seen.note(&parts.headers);
            let body = to_bytes(body, LONGEST_ANSWER).await.map_err(|_| ApiError::Unreachable)?;
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        let answer = tokio::time::timeout(API_TIMEOUT, exchange).await.map_err(|_| ApiError::Unreachable)??;
        if answer.status.is_success() { Ok(answer) } else { Err(refusal(&answer)) }
    }

    async fn fetch<T: DeserializeOwned>(&self, call: Call<'_>) -> ApiResult<T> {
        self.send(call).await?.parse()
    }

    async fn basket_of(&self, call: Call<'_>) -> ApiResult<BasketAnswer> {
        let answer = self.send(call).await?;
        Ok(BasketAnswer { basket: answer.parse()?, token: answer.header(&BASKET_TOKEN) })
    }

    /// `GET /books` with filters as the API names them.
    pub(crate) async fn books(&self, caller: &Caller, filters: &[Pair<'_>]) -> ApiResult<Page<Book>> {
        self.fetch(Call::get(&caller.anonymous(), "/books").query(filters)).await
    }

    /// `GET /books/{id}`
    pub(crate) async fn book(&self, caller: &Caller, id: &str) -> ApiResult<Book> {
        self.fetch(Call::get(&caller.anonymous(), format!("/books/{}", encoded(id)))).await
    }

    /// `GET /search`
    pub(crate) async fn search(&self, caller: &Caller, filters: &[Pair<'_>]) -> ApiResult<SearchResponse> {
        self.fetch(Call::get(&caller.anonymous(), "/search").query(filters)).await
    }

    /// `GET /books/{id}/similar`
    pub(crate) async fn similar(&self, caller: &Caller, id: &str, limit: &str) -> ApiResult<Page<Book>> {
        let path = format!("/books/{}/similar", encoded(id));
        self.fetch(Call::get(&caller.anonymous(), path).query(&[("limit", limit)])).await
    }

    /// `GET /recommendations`, for whoever asks.
    pub(crate) async fn recommendations(&self, caller: &Caller, limit: &str) -> ApiResult<Recommendations> {
        self.fetch(Call::get(caller, "/recommendations").query(&[("limit", limit)])).await
    }

    /// `POST /books/{id}/views`
    pub(crate) async fn view_book(&self, caller: &Caller, id: &str) -> ApiResult<()> {
        self.send(Call::post(caller, format!("/books/{}/views", encoded(id)))).await.map(drop)
    }

    /// `GET /admin/search`
    pub(crate) async fn search_status(&self, caller: &Caller) -> ApiResult<SearchStatus> {
        self.fetch(Call::get(caller, "/admin/search")).await
    }

    /// `GET /search/synonyms`, with their `ETag`.
    pub(crate) async fn synonyms(&self, caller: &Caller) -> ApiResult<(Synonyms, String)> {
        let answer = self.send(Call::get(caller, "/search/synonyms")).await?;
        Ok((answer.parse()?, answer.header(&header::ETAG).unwrap_or_default()))
    }

    /// `PUT /search/synonyms` over those with this `ETag`.
    pub(crate) async fn save_synonyms(&self, caller: &Caller, etag: &str, synonyms: &Synonyms) -> ApiResult<()> {
        let call = Call::new(Method::PUT, caller, "/search/synonyms").header(header::IF_MATCH, etag).json(synonyms);
        self.send(call).await.map(drop)
    }

    /// `GET /admin/imports`
    pub(crate) async fn imports(&self, caller: &Caller) -> ApiResult<Imports> {
        self.fetch(Call::get(caller, "/admin/imports")).await
    }

    /// `POST /admin/imports` with the file itself.
    pub(crate) async fn upload_import(
        &self,
        caller: &Caller,
        key: &str,
        filename: &str,
        file: bytes::Bytes,
    ) -> ApiResult<Import> {
        let mut call = Call::post(caller, "/admin/imports").query(&[("filename", filename)]);
        call.body = Some(Vec::from(file));
        let call = call.header(IDEMPOTENCY_KEY, key).header(header::CONTENT_TYPE, "application/octet-stream");
        self.fetch(call).await
    }

    /// `GET /admin/imports/{id}`
    pub(crate) async fn import(&self, caller: &Caller, id: &str) -> ApiResult<Import> {
        self.fetch(Call::get(caller, format!("/admin/imports/{}", encoded(id)))).await
    }

    /// `PUT /admin/imports/{id}/mapping`
    pub(crate) async fn map_import(&self, caller: &Caller, id: &str, mapping: &ImportMapping) -> ApiResult<()> {
        let path = format!("/admin/imports/{}/mapping", encoded(id));
        self.send(Call::new(Method::PUT, caller, path).json(mapping)).await.map(drop)
    }

    /// `POST /admin/imports/{id}/start`
    pub(crate) async fn start_import(&self, caller: &Caller, id: &str) -> ApiResult<()> {
        self.send(Call::post(caller, format!("/admin/imports/{}/start", encoded(id)))).await.map(drop)
    }

    /// `POST /admin/imports/{id}/cancel`
    pub(crate) async fn cancel_import(&self, caller: &Caller, id: &str) -> ApiResult<()> {
        self.send(Call::post(caller, format!("/admin/imports/{}/cancel", encoded(id)))).await.map(drop)
    }

    /// `DELETE /admin/imports/{id}`
    pub(crate) async fn discard_import(&self, caller: &Caller, id: &str) -> ApiResult<()> {
        self.send(Call::new(Method::DELETE, caller, format!("/admin/imports/{}", encoded(id)))).await.map(drop)
    }

    /// `GET /admin/imports/{id}/report`
    pub(crate) async fn import_report(&self, caller: &Caller, id: &str) -> ApiResult<bytes::Bytes> {
        let answer = self.send(Call::get(caller, format!("/admin/imports/{}/report", encoded(id)))).await?;
        Ok(answer.body)
    }

    /// `GET /admin/authors/doubles`
    pub(crate) async fn author_doubles(&self, caller: &Caller) -> ApiResult<AuthorDoubles> {
        self.fetch(Call::get(caller, "/admin/authors/doubles")).await
    }

    /// The author that an id or a name in any spelling means, also when it was merged into another.
    pub(crate) async fn author_named(&self, caller: &Caller, name: &str) -> ApiResult<Option<Author>> {
        let anybody = caller.anonymous();
        let call = Call::get(&anybody, "/authors").query(&[("name", name)]);
        Ok(self.fetch::<Page<Author>>(call).await?.items.pop())
    }

    /// `GET /authors` with filters as the API names them.
    pub(crate) async fn authors(&self, caller: &Caller, filters: &[Pair<'_>]) -> ApiResult<Page<Author>> {
        self.fetch(Call::get(&caller.anonymous(), "/authors").query(filters)).await
    }

    /// `POST /authors/{id}/merge`
    pub(crate) async fn merge_author(&self, caller: &Caller, id: &str, merge: &MergeAuthor) -> ApiResult<Author> {
        self.fetch(Call::post(caller, format!("/authors/{}/merge", encoded(id))).json(merge)).await
    }

    /// `POST /authors/{id}/split`
    pub(crate) async fn split_author(&self, caller: &Caller, id: &str, split: &SplitAuthor) -> ApiResult<Author> {
        self.fetch(Call::post(caller, format!("/authors/{}/split", encoded(id))).json(split)).await
    }

    /// `GET /chat/policies`
    pub(crate) async fn policies(&self, caller: &Caller) -> ApiResult<Vec<Policy>> {
        let list: List<Policy> = self.fetch(Call::get(&caller.anonymous(), "/chat/policies")).await?;
        Ok(list.into_items())
    }

    /// `GET /chat/policies/{slug}`
    pub(crate) async fn policy(&self, caller: &Caller, slug: &str) -> ApiResult<Policy> {
        self.fetch(Call::get(&caller.anonymous(), format!("/chat/policies/{}", encoded(slug)))).await
    }

    /// `GET /chat/canned-replies`, with their `ETag`.
    pub(crate) async fn canned_replies(&self, caller: &Caller) -> ApiResult<(CannedReplies, String)> {
        let answer = self.send(Call::get(caller, "/chat/canned-replies")).await?;
        Ok((answer.parse()?, answer.header(&header::ETAG).unwrap_or_default()))
    }

    /// `PUT /chat/canned-replies` over those with this `ETag`.
    pub(crate) async fn save_canned_replies(&self, caller: &Caller, etag: &str, all: &CannedReplies) -> ApiResult<()> {
        let call = Call::new(Method::PUT, caller, "/chat/canned-replies").header(header::IF_MATCH, etag).json(all);
        self.send(call).await.map(drop)
    }

    /// `GET /subjects`, those with most books first.
    pub(crate) async fn subjects(&self, caller: &Caller) -> ApiResult<Page<Subject>> {
        self.fetch(Call::get(&caller.anonymous(), "/subjects").query(&[("limit", "100")])).await
    }

    /// `GET /basket`
    pub(crate) async fn basket(&self, caller: &Caller) -> ApiResult<BasketAnswer> {
        self.basket_of(Call::get(caller, "/basket")).await
    }

    /// `POST /basket/items`
    pub(crate) async fn add_to_basket(&self, caller: &Caller, item: AddItem) -> ApiResult<BasketAnswer> {
        self.basket_of(Call::post(caller, "/basket/items").json(&item)).await
    }

    /// `PATCH /basket/items/{book_id}`
    pub(crate) async fn set_quantity(&self, caller: &Caller, book: &str, quantity: i64) -> ApiResult<BasketAnswer> {
        let path = format!("/basket/items/{}", encoded(book));
        self.basket_of(Call::new(Method::PATCH, caller, path).json(&SetQuantity { quantity })).await
    }

    /// `GET /shipping-methods`
    pub(crate) async fn shipping_methods(&self, caller: &Caller) -> ApiResult<Vec<ShippingMethod>> {
        let list: List<ShippingMethod> = self.fetch(Call::get(&caller.anonymous(), "/shipping-methods")).await?;
        Ok(list.into_items())
    }

    /// `GET /shipping-methods?country=&subtotal=`: what is offered there, the cheapest first.
    pub(crate) async fn shipping_offers(
        &self,
        caller: &Caller,
        country: &str,
        subtotal: Money,
    ) -> ApiResult<Vec<ShippingMethod>> {
        let subtotal = subtotal.amount.to_string();
        let anybody = caller.anonymous();
        let call = Call::get(&anybody, "/shipping-methods");
        let list: List<ShippingMethod> =
            self.fetch(call.query(&[("country", country), ("subtotal", &subtotal)])).await?;
        Ok(list.into_items())
    }

    /// `GET /shipping-countries`: the likely one first.
    pub(crate) async fn shipping_countries(&self, caller: &Caller) -> ApiResult<Vec<ShippingCountry>> {
        let list: List<ShippingCountry> = self.fetch(Call::get(&caller.anonymous(), "/shipping-countries")).await?;
        Ok(list.into_items())
    }

    /// `GET /payment-methods`
    pub(crate) async fn payment_methods(&self, caller: &Caller) -> ApiResult<Vec<PaymentMethod>> {
        let list: List<PaymentMethod> = self.fetch(Call::get(&caller.anonymous(), "/payment-methods")).await?;
        Ok(list.into_items())
    }

    /// `POST /orders/quote`
    pub(crate) async fn quote(&self, caller: &Caller, request: &QuoteRequest) -> ApiResult<Quote> {
        self.fetch(Call::post(caller, "/orders/quote").json(request)).await
    }

    /// `POST /orders/checkout`
    pub(crate) async fn checkout(
        &self,
        caller: &Caller,
        key: &str,
        request: &CheckoutRequest,
    ) -> ApiResult<CheckoutAnswer> {
        let call = Call::post(caller, "/orders/checkout").header(IDEMPOTENCY_KEY, key).json(request);
        let answer = self.send(call).await?;
        match (answer.status, answer.header(&header::LOCATION)) {
            (StatusCode::ACCEPTED, Some(location)) if serde_json::from_slice::<Order>(&answer.body).is_err() => {
                Ok(CheckoutAnswer::Accepted { location })
            }
            _ => Ok(CheckoutAnswer::Order(answer.parse()?)),
        }
    }

    /// `GET /orders/under-way`: the order that is being made of the basket, if there is one.
    pub(crate) async fn order_under_way(&self, caller: &Caller) -> ApiResult<Option<Order>> {
        match self.fetch(Call::get(caller, "/orders/under-way")).await {
            Ok(order) => Ok(Some(order)),
            Err(error) if error.status() == StatusCode::NOT_FOUND => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `GET /orders`: one's own; staff see all, with `status` and `q`.
    pub(crate) async fn orders(&self, caller: &Caller, filters: &[Pair<'_>]) -> ApiResult<Page<Order>> {
        self.fetch(Call::get(caller, "/orders").query(filters)).await
    }

    /// `GET /orders/{id}`, as a guest with its key, or as it was at an instant.
    pub(crate) async fn order(&self, caller: &Caller, id: &str, query: &[Pair<'_>]) -> ApiResult<Order> {
        self.fetch(Call::get(caller, format!("/orders/{}", encoded(id))).query(query)).await
    }

    /// `GET /orders/{id}/events`
    pub(crate) async fn order_events(&self, caller: &Caller, id: &str) -> ApiResult<Vec<OrderEvent>> {
        let list: List<OrderEvent> =
            self.fetch(Call::get(caller, format!("/orders/{}/events", encoded(id))).query(&[("limit", "100")])).await?;
        Ok(list.into_items())
    }

    /// `POST /orders/{id}/cancel`
    pub(crate) async fn cancel_order(
        &self,
        caller: &Caller,
        id: &str,
        key: &str,
        request: &CancelRequest,
    ) -> ApiResult<()> {
        self.order_action(caller, id, "cancel", key, request).await
    }

    /// `POST /orders/{id}/ship`
    pub(crate) async fn ship_order(&self, caller: &Caller, id: &str, request: &ShipRequest) -> ApiResult<()> {
        self.order_action(caller, id, "ship", "", request).await
    }

    /// `POST /orders/{id}/complete`
    pub(crate) async fn complete_order(&self, caller: &Caller, id: &str) -> ApiResult<()> {
        self.order_action(caller, id, "complete", "", &serde_json::json!({})).await
    }

    /// `POST /orders/{id}/refund`
    pub(crate) async fn refund_order(
        &self,
        caller: &Caller,
        id: &str,
        idempotency_key: &str,
        request: &RefundRequest,
    ) -> ApiResult<()> {
        let call = Call::post(caller, format!("/orders/{}/refund", encoded(id)))
            .header(IDEMPOTENCY_KEY, idempotency_key)
            .json(request);
        self.send(call).await.map(drop)
    }

    /// `GET /admin/coupons`
    pub(crate) async fn coupons(&self, caller: &Caller, query: &[Pair<'_>]) -> ApiResult<Page<Coupon>> {
        self.fetch(Call::get(caller, "/admin/coupons").query(query)).await
    }

    /// `POST /admin/coupons`
    pub(crate) async fn create_coupon(&self, caller: &Caller, coupon: &CouponInput) -> ApiResult<Coupon> {
        self.fetch(Call::post(caller, "/admin/coupons").json(coupon)).await
    }

    /// `GET /admin/coupons/{code}`
    pub(crate) async fn coupon(&self, caller: &Caller, code: &str) -> ApiResult<Coupon> {
        self.fetch(Call::get(caller, format!("/admin/coupons/{}", encoded(code)))).await
    }

    /// `GET /admin/coupons/{code}/uses`
    pub(crate) async fn coupon_uses(
        &self,
        caller: &Caller,
        code: &str,
        query: &[Pair<'_>],
    ) -> ApiResult<Page<CouponUse>> {
        self.fetch(Call::get(caller, format!("/admin/coupons/{}/uses", encoded(code))).query(query)).await
    }

    /// `POST /admin/coupons/{code}/stop`
    pub(crate) async fn stop_coupon(&self, caller: &Caller, code: &str) -> ApiResult<()> {
        self.send(Call::post(caller, format!("/admin/coupons/{}/stop", encoded(code)))).await.map(drop)
    }

    async fn order_action(
        &self,
        caller: &Caller,
        id: &str,
        action: &str,
        key: &str,
        request: &impl Serialize,
    ) -> ApiResult<()> {
        let path = format!("/orders/{}/{action}", encoded(id));
        self.send(Call::post(caller, path).query(&[("key", key)]).json(request)).await.map(drop)
    }

    /// `POST /identity/password-reset`
    pub(crate) async fn ask_password_reset(&self, caller: &Caller, request: &PasswordResetRequest) -> ApiResult<()> {
        self.send(Call::post(caller, "/identity/password-reset").json(request)).await.map(drop)
    }

    /// `POST /contact`
    pub(crate) async fn contact(&self, caller: &Caller, key: &str, request: &ContactRequest) -> ApiResult<()> {
        self.send(Call::post(caller, "/contact").header(IDEMPOTENCY_KEY, key).json(request)).await.map(drop)
    }

    /// `POST /identity/password-reset/check`
    pub(crate) async fn check_password_reset(&self, caller: &Caller, request: &PasswordResetCheck) -> ApiResult<()> {
        self.send(Call::post(caller, "/identity/password-reset/check").json(request)).await.map(drop)
    }

    /// `POST /identity/password-reset/confirm`
    pub(crate) async fn reset_password(&self, caller: &Caller, request: &PasswordResetConfirmation) -> ApiResult<()> {
        self.send(Call::post(caller, "/identity/password-reset/confirm").json(request)).await.map(drop)
    }

    /// `POST /identity/confirm-email`
    pub(crate) async fn confirm_email(&self, caller: &Caller, request: &EmailConfirmation) -> ApiResult<()> {
        self.send(Call::post(caller, "/identity/confirm-email").json(request)).await.map(drop)
    }

    /// `POST /identity/me/confirm-email`
    pub(crate) async fn send_confirmation(&self, caller: &Caller) -> ApiResult<()> {
        self.send(Call::post(caller, "/identity/me/confirm-email")).await.map(drop)
    }

    /// `POST /mail/confirm`
    pub(crate) async fn confirm_mail(&self, caller: &Caller, request: &MailConfirmation) -> ApiResult<()> {
        self.send(Call::post(caller, "/mail/confirm").json(request)).await.map(drop)
    }

    /// `GET /admin/mail/refusals`
    pub(crate) async fn mail_refusals(&self, caller: &Caller) -> ApiResult<Vec<MailRefusals>> {
        self.fetch(Call::get(caller, "/admin/mail/refusals")).await
    }

    /// `POST /identity/register`
    pub(crate) async fn register(&self, caller: &Caller, request: &RegisterRequest) -> ApiResult<Account> {
        self.fetch(Call::post(caller, "/identity/register").json(request)).await
    }

    /// `POST /identity/token`
    pub(crate) async fn token(&self, caller: &Caller, request: &TokenRequest) -> ApiResult<TokenResponse> {
        self.fetch(Call::post(caller, "/identity/token").json(request)).await
    }

    /// `POST /identity/sign-out`
    pub(crate) async fn sign_out(&self, caller: &Caller, refresh_token: String) -> ApiResult<()> {
        self.send(Call::post(caller, "/identity/sign-out").json(&SignOutRequest { refresh_token })).await.map(drop)
    }

    /// `GET /identity/me`
    pub(crate) async fn me(&self, caller: &Caller) -> ApiResult<Account> {
        self.fetch(Call::get(caller, "/identity/me")).await
    }

    /// `GET /books/{id}/stock`
    pub(crate) async fn stock(&self, caller: &Caller, id: &str) -> ApiResult<Stock> {
        self.fetch(Call::get(caller, format!("/books/{}/stock", encoded(id)))).await
    }

    /// `POST /books/{id}/stock/adjustments`
    pub(crate) async fn adjust_stock(
        &self,
        caller: &Caller,
        id: &str,
        idempotency_key: &str,
        adjustment: &StockAdjustment,
    ) -> ApiResult<Stock> {
        let call = Call::post(caller, format!("/books/{}/stock/adjustments", encoded(id)))
            .header(IDEMPOTENCY_KEY, idempotency_key)
            .json(adjustment);
        self.fetch(call).await
    }

    /// `POST /books`
    pub(crate) async fn create_book(&self, caller: &Caller, book: &BookInput) -> ApiResult<Book> {
        self.fetch(Call::post(caller, "/books").json(book)).await
    }

    /// `PUT /books/{id}` of the version that the editor saw.
    pub(crate) async fn update_book(
        &self,
        caller: &Caller,
        id: &str,
        version: &str,
        book: &BookInput,
    ) -> ApiResult<Book> {
        let call = Call::new(Method::PUT, caller, format!("/books/{}", encoded(id)))
            .header(header::IF_MATCH, &format!("\"{version}\""))
            .json(book);
        self.fetch(call).await
    }

    /// `DELETE /books/{id}`
    pub(crate) async fn delete_book(&self, caller: &Caller, id: &str, version: &str) -> ApiResult<()> {
        let call = Call::new(Method::DELETE, caller, format!("/books/{}", encoded(id)))
            .header(header::IF_MATCH, &format!("\"{version}\""));
        self.send(call).await.map(drop)
    }

    /// `GET /books/{id}/reviews` with filters as the API names them.
    pub(crate) async fn reviews(&self, caller: &Caller, book: &str, filters: &[Pair<'_>]) -> ApiResult<ReviewPage> {
        self.fetch(Call::get(caller, format!("/books/{}/reviews", encoded(book))).query(filters)).await
    }

    /// `GET /reviews`: one's own.
    pub(crate) async fn own_reviews(&self, caller: &Caller, filters: &[Pair<'_>]) -> ApiResult<Page<Review>> {
        self.fetch(Call::get(caller, "/reviews").query(filters)).await
    }

    /// `GET /reviews/{id}`
    pub(crate) async fn review(&self, caller: &Caller, id: &str) -> ApiResult<Review> {
        self.fetch(Call::get(caller, format!("/reviews/{}", encoded(id)))).await
    }

    /// `GET /reviews/{id}/events`
    pub(crate) async fn review_events(&self, caller: &Caller, id: &str) -> ApiResult<Vec<ReviewEvent>> {
        let path = format!("/reviews/{}/events", encoded(id));
        let list: List<ReviewEvent> = self.fetch(Call::get(caller, path).query(&[("limit", "100")])).await?;
        Ok(list.into_items())
    }

    /// `POST /books/{id}/reviews`, with the account or an invitation.
    pub(crate) async fn write_review(
        &self,
        caller: &Caller,
        book: &str,
        invite: &str,
        review: &ReviewInput,
    ) -> ApiResult<Review> {
        let call = Call::post(caller, format!("/books/{}/reviews", encoded(book))).json(review);
        self.fetch(invited(call, invite)).await
    }

    /// `PUT /reviews/{id}` of the version that its author saw, with the account or an invitation.
    pub(crate) async fn edit_review(
        &self,
        caller: &Caller,
        id: &str,
        version: &str,
        invite: &str,
        review: &ReviewInput,
    ) -> ApiResult<Review> {
        let call = Call::new(Method::PUT, caller, format!("/reviews/{}", encoded(id)))
            .header(header::IF_MATCH, &format!("\"{version}\""))
            .json(review);
        self.fetch(invited(call, invite)).await
    }

    /// `DELETE /reviews/{id}`, with the account or an invitation.
    pub(crate) async fn delete_review(&self, caller: &Caller, id: &str, invite: &str) -> ApiResult<()> {
        let call = Call::new(Method::DELETE, caller, format!("/reviews/{}", encoded(id)));
        self.send(invited(call, invite)).await.map(drop)
    }

    /// `PUT` or `DELETE /reviews/{id}/helpful`
    pub(crate) async fn vote(&self, caller: &Caller, id: &str, helpful: bool) -> ApiResult<()> {
        let method = if helpful { Method::PUT } else { Method::DELETE };
        self.send(Call::new(method, caller, format!("/reviews/{}/helpful", encoded(id)))).await.map(drop)
    }

    /// `POST /reviews/{id}/reports`
    pub(crate) async fn report_review(&self, caller: &Caller, id: &str, report: &ReportInput) -> ApiResult<()> {
        self.send(Call::post(caller, format!("/reviews/{}/reports", encoded(id))).json(report)).await.map(drop)
    }

    /// `POST /reviews/{id}/appeal`
    pub(crate) async fn appeal(&self, caller: &Caller, id: &str, appeal: &AppealInput) -> ApiResult<()> {
        self.send(Call::post(caller, format!("/reviews/{}/appeal", encoded(id))).json(appeal)).await.map(drop)
    }

    /// `POST /review-invitations/check`
    pub(crate) async fn check_invitation(&self, caller: &Caller, token: &str) -> ApiResult<Invitation> {
        let request = InvitationCheck { token: token.to_owned() };
        self.fetch(Call::post(caller, "/review-invitations/check").json(&request)).await
    }

    /// `POST /review-invitations/unsubscribe`
    pub(crate) async fn unsubscribe(&self, caller: &Caller, token: &str) -> ApiResult<()> {
        self.send(Call::post(caller, "/review-invitations/unsubscribe").query(&[("token", token)])).await.map(drop)
    }

    /// `GET /admin/reviews`
    pub(crate) async fn review_queue(&self, caller: &Caller, query: &[Pair<'_>]) -> ApiResult<Page<ModeratedReview>> {
        self.fetch(Call::get(caller, "/admin/reviews").query(query)).await
    }

    /// `POST /admin/reviews/{id}/decision` about the version that staff saw.
    pub(crate) async fn decide_review(
        &self,
        caller: &Caller,
        id: &str,
        version: &str,
        decision: &DecisionInput,
    ) -> ApiResult<()> {
        let call = Call::post(caller, format!("/admin/reviews/{}/decision", encoded(id)))
            .header(header::IF_MATCH, &format!("\"{version}\""))
            .json(decision);
        self.send(call).await.map(drop)
    }

    /// `PUT` the shop's answer to a review, or `DELETE` it.
    pub(crate) async fn answer_review(&self, caller: &Caller, id: &str, answer: Option<&AnswerInput>) -> ApiResult<()> {
        let path = format!("/reviews/{}/answer", encoded(id));
        let call = match answer {
            Some(answer) => Call::new(Method::PUT, caller, path).json(answer),
            None => Call::new(Method::DELETE, caller, path),
        };
        self.send(call).await.map(drop)
    }

    /// `GET /admin/mail`
    pub(crate) async fn mails(&self, caller: &Caller, query: &[Pair<'_>]) -> ApiResult<Page<Mail>> {
        self.fetch(Call::get(caller, "/admin/mail").query(query)).await
    }

    /// `GET /admin/mail/{id}`
    pub(crate) async fn mail(&self, caller: &Caller, id: &str) -> ApiResult<Mail> {
        self.fetch(Call::get(caller, format!("/admin/mail/{}", encoded(id)))).await
    }

    /// `GET /admin/health`
    pub(crate) async fn health(&self, caller: &Caller) -> ApiResult<Health> {
        self.fetch(Call::get(caller, "/admin/health")).await
    }

    /// `GET /status`
    pub(crate) async fn status(&self, caller: &Caller) -> ApiResult<ShopStatus> {
        self.fetch(Call::get(&caller.anonymous(), "/status")).await
    }

    /// `GET /admin/health/shop`
    pub(crate) async fn shop_health(&self, caller: &Caller) -> ApiResult<ShopHealth> {
        self.fetch(Call::get(caller, "/admin/health/shop")).await
    }

    /// `GET /admin/health/events`, as it comes. `last` is the event that the reader had last.
    pub(crate) async fn shop_health_events(&self, caller: &Caller, last: Option<&str>) -> ApiResult<Response<Body>> {
        let call = Call::get(caller, "/admin/health/events");
        let request = request(match last {
            Some(last) => call.header(LAST_EVENT_ID, last),
            None => call,
        })?;
        let asked = self.service.clone().oneshot(request);
        let Ok(response) = tokio::time::timeout(API_TIMEOUT, asked).await.map_err(|_| ApiError::Unreachable)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, LONGEST_ANSWER).await.map_err(|_| ApiError::Unreachable)?;
        Err(refusal(&Answer { status: parts.status, headers: parts.headers, body }))
    }

    /// `GET /fleet`
    pub(crate) async fn fleet(&self, caller: &Caller) -> ApiResult<Fleet> {
        self.fetch(Call::get(caller, "/fleet")).await
    }

    /// `GET /admin/traces`
    pub(crate) async fn traces(&self, caller: &Caller, query: &[Pair<'_>]) -> ApiResult<Traces> {
        self.fetch(Call::get(caller, "/admin/traces").query(query)).await
    }

    /// `GET /admin/traces/{id}`
    pub(crate) async fn trace(&self, caller: &Caller, id: &str) -> ApiResult<Trace> {
        self.fetch(Call::get(caller, format!("/admin/traces/{}", encoded(id)))).await
    }

    /// `GET /admin/dead-letters`
    pub(crate) async fn dead_letters(&self, caller: &Caller, query: &[Pair<'_>]) -> ApiResult<Page<DeadLetter>> {
        self.fetch(Call::get(caller, "/admin/dead-letters").query(query)).await
    }

    /// `POST /admin/dead-letters/{id}/retry`
    pub(crate) async fn retry_dead_letter(&self, caller: &Caller, id: &str) -> ApiResult<()> {
        self.send(Call::post(caller, format!("/admin/dead-letters/{}/retry", encoded(id)))).await.map(drop)
    }

    /// `GET /admin/payments`
    pub(crate) async fn payments(&self, caller: &Caller, query: &[Pair<'_>]) -> ApiResult<Page<Payment>> {
        self.fetch(Call::get(caller, "/admin/payments").query(query)).await
    }

    /// `GET /admin/ledger`
    pub(crate) async fn ledger(&self, caller: &Caller) -> ApiResult<Vec<LedgerBalance>> {
        let list: List<LedgerBalance> = self.fetch(Call::get(caller, "/admin/ledger")).await?;
        Ok(list.into_items())
    }

    /// `GET /admin/reconciliation`
    pub(crate) async fn reconciliation(&self, caller: &Caller) -> ApiResult<ReconciliationReport> {
        self.fetch(Call::get(caller, "/admin/reconciliation")).await
    }
}

/// In the name of whoever has the link of an invitation, if there is one.
fn invited<'a>(call: Call<'a>, invite: &str) -> Call<'a> {
    if invite.is_empty() { call } else { call.header(REVIEW_INVITATION, invite) }
}

/// A short list: as a page, or bare.
#[derive(Deserialize)]
#[serde(untagged)]
enum List<T> {
    Page(Page<T>),
    Bare(Vec<T>),
}

impl<T> List<T> {
    fn into_items(self) -> Vec<T> {
        match self {
            Self::Page(page) => page.items,
            Self::Bare(items) => items,
        }
    }
}

fn refusal(answer: &Answer) -> ApiError {
    let Ok(mut problem) = serde_json::from_slice::<ProblemBody>(&answer.body) else {
        tracing::error!(status = %answer.status, "the API failed without a problem document");
        return ApiError::Unreachable;
    };
    problem.status = answer.status.as_u16();
    problem.retry_after = answer.header(&header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
    ApiError::Problem(Box::new(problem))
}
