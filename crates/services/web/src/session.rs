//! Who is asking. Runs around every page: reads the cookies, renews the session, refuses forged forms, turns
//! failures into pages, writes the cookies back.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::{FromRequestParts, Request, State},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bookworm_contracts::rest::{
    basket::Basket,
    identity::{Role, TokenRequest, TokenResponse},
};
use bookworm_http::Next;
use bytes::{Bytes, BytesMut};
use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use time::Duration;

use crate::{
    api::{ApiClient, ApiError, ApiResult, BasketAnswer, Caller},
    csrf,
    error::{Failure, PageError},
    flash::Flash,
    form::{Fields, LARGEST_FILE},
    layout::Shell,
    service::Web,
    view::Calendar,
};

const ACCESS: &str = "bw_access";
const REFRESH: &str = "bw_refresh";
const CSRF: &str = "bw_csrf";
const FLASH: &str = "bw_flash";
const COUNT: &str = "bw_count";
const THEME: &str = "bw_theme";
const BASKET: &str = "basket_token";

/// The access token's cookie ends this many seconds before the token, so that a token is never used in its last moments.
const MARGIN: i64 = 30;
/// How long a browser stays signed in without a visit.
const REMEMBERED: Duration = Duration::days(30);
/// The largest form a page sends: a book's description has up to 20,000 characters.
const LARGEST_FORM: usize = 256 << 10;
/// The largest form with a file: what the API takes, and the form's own fields.
const LARGEST_UPLOAD: usize = LARGEST_FILE + LARGEST_FORM;
/// How much of a larger one is read before the connection is closed.
const HEARD_OUT: usize = 8 * LARGEST_UPLOAD;
/// The page that takes files.
const UPLOADS: &str = "/admin/books/import";

/// Somebody signed in, as the token says. For display only: the API checks every token itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Glimpse {
    /// The account's id.
    pub(crate) sub: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) roles: Vec<Role>,
    /// When the token ends, in seconds since 1970.
    pub(crate) exp: i64,
}

impl Glimpse {
    fn of(access_token: &str) -> Option<Self> {
        let payload = access_token.split('.').nth(1)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    /// Whether the back office is worth showing.
    pub(crate) fn is_staff(&self) -> bool {
        self.roles.iter().any(|role| matches!(role, Role::Staff | Role::Admin))
    }

    /// Whether they answer the shop's chats.
    pub(crate) fn is_agent(&self) -> bool {
        self.roles.iter().any(|role| matches!(role, Role::Agent | Role::Admin))
    }

    /// How to address them in a few letters.
    pub(crate) fn short_name(&self) -> &str {
        self.name.split_whitespace().next().unwrap_or("Account")
    }
}

/// Which colours somebody chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    /// As the system has it.
    System,
    Light,
    Dark,
}

impl Theme {
    /// What there is to choose from: as forms send it, and in words.
    pub(crate) const CHOICES: &[(&str, &str)] = &[("system", "System"), ("light", "Light"), ("dark", "Dark")];

    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::System,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

struct Inner {
    caller: Caller,
    account: Option<Glimpse>,
    refresh_token: Option<String>,
    basket_count: u32,
    theme: Theme,
    rated: bool,
    csrf: String,
    flash: Option<Flash>,
    here: String,
    /// Where to come back to: this page, or the page whose form was sent here.
    back: String,
    wants_json: bool,
    fragment: bool,
    web: Web,
    jar: Mutex<Vec<Cookie<'static>>>,
}

/// Somebody looking at a page.
#[derive(Clone)]
pub(crate) struct Visitor(Arc<Inner>);

impl Visitor {
    /// For whom to ask the API.
    pub(crate) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    pub(crate) fn account(&self) -> Option<&Glimpse> {
        self.0.account.as_ref()
    }

    pub(crate) fn refresh_token(&self) -> Option<&str> {
        self.0.refresh_token.as_deref()
    }

    pub(crate) fn csrf(&self) -> &str {
        &self.0.csrf
    }

    /// Path and query of this page.
    pub(crate) fn here(&self) -> &str {
        &self.0.here
    }

    /// Where to come back to after signing in or a failure: this page, or the one whose form was sent here.
    pub(crate) fn back(&self) -> &str {
        &self.0.back
    }

    /// Whether an island asks, which shows the outcome without a reload.
    pub(crate) fn wants_json(&self) -> bool {
        self.0.wants_json
    }

    /// Whether an island asks for a part of the page only.
    pub(crate) fn wants_fragment(&self) -> bool {
        self.0.fragment
    }

    /// The frame of a page with this title. The message for this page, if any, is used up.
    pub(crate) fn shell(&self, title: impl Into<String>) -> Shell {
        let inner = &self.0;
        if inner.flash.is_some() {
            self.forget(FLASH);
        }
        Shell {
            title: title.into(),
            description: String::new(),
            shop: inner.web.settings.shop_name.clone(),
            email: inner.web.settings.email.clone(),
            theme: inner.theme,
            account: inner.account.clone(),
            basket_count: inner.basket_count,
            csrf: inner.csrf.clone(),
            flash: inner.flash.clone(),
            section: "",
            query: String::new(),
            here: inner.here.clone(),
            indexed: false,
            refresh_after: None,
            quiet: false,
            secure: inner.web.settings.secure_cookies,
            chat: true,
            rated: inner.rated,
            calendar: self.calendar(),
            troubles: Vec::new(),
            seen: inner.caller.seen.clone(),
        }
    }

    /// Whether the shop's mails reach people.
    pub(crate) fn sends_mail(&self) -> bool {
        self.0.web.settings.sends_mail
    }

    /// Whether readers have rated any book.
    pub(crate) fn rated(&self) -> bool {
        self.0.rated
    }

    /// How dates and times are shown on this page.
    pub(crate) fn calendar(&self) -> Calendar {
        let web = &self.0.web;
        Calendar { zone: web.settings.time_zone, now: web.clock.now() }
    }

    /// The parts of the shop that cannot work now, each with what is wrong. For staff.
    pub(crate) async fn health(&self) -> ApiResult<Vec<(String, String)>> {
        let health = self.0.web.api.health(self.caller()).await?;
        Ok(health.checks.into_iter().filter(|(_, answer)| answer != "ok").collect())
    }

    /// Shows a message on the next page.
    pub(crate) fn flash(&self, flash: &Flash) {
        let text = flash.to_cookie(&self.0.web.settings.secret);
        self.set(FLASH, text, true, Some(Duration::minutes(1)));
    }

    /// Stores a guest's basket, and how many books are in it, in cookies.
    pub(crate) fn store_basket(&self, answer: &BasketAnswer) {
        if self.0.account.is_some() {
            self.drop_guest_basket();
        } else if let Some(token) = &answer.token
            && self.0.caller.basket_token.as_ref() != Some(token)
        {
            self.set(BASKET, token.clone(), true, Some(REMEMBERED));
        }
        self.store_count(count(&answer.basket));
    }

    /// The number that the header of every page shows.
    pub(crate) fn store_count(&self, count: u32) {
        if count != self.0.basket_count {
            self.set(COUNT, count.to_string(), false, Some(REMEMBERED));
        }
    }

    /// Signs in: the tokens go into cookies that scripts cannot read.
    pub(crate) fn store_tokens(&self, tokens: &TokenResponse) {
        let lifetime = i64::try_from(tokens.expires_in).unwrap_or(i64::MAX).saturating_sub(MARGIN).max(1);
        self.set(ACCESS, tokens.access_token.clone(), true, Some(Duration::seconds(lifetime)));
        self.set(REFRESH, tokens.refresh_token.clone(), true, Some(REMEMBERED));
    }

    /// Forgets the guest's basket, which is the account's now.
    pub(crate) fn drop_guest_basket(&self) {
        if self.0.caller.basket_token.is_some() {
            self.forget(BASKET);
        }
    }

    /// Signs out.
    pub(crate) fn drop_tokens(&self) {
        self.forget(ACCESS);
        self.forget(REFRESH);
    }

    /// Forgets a token that the API does not take; the refresh token may bring a new one.
    pub(crate) fn drop_access(&self) {
        self.forget(ACCESS);
    }

    pub(crate) fn store_theme(&self, theme: Theme) {
        match theme {
            Theme::System => self.forget(THEME),
            chosen => self.set(THEME, chosen.as_str().to_owned(), false, Some(Duration::days(365))),
        }
    }

    fn set(&self, name: &str, value: String, http_only: bool, max_age: Option<Duration>) {
        let secure = self.0.web.settings.secure_cookies;
        let mut cookie = Cookie::build((full_name(name, secure), value))
            .path("/")
            .same_site(SameSite::Lax)
            .http_only(http_only)
            .secure(secure)
            .build();
        if let Some(max_age) = max_age {
            cookie.set_max_age(max_age);
        }
        let mut jar = self.0.jar.lock().unwrap_or_else(PoisonError::into_inner);
        jar.retain(|known| known.name() != cookie.name());
        jar.push(cookie);
    }

    fn forget(&self, name: &str) {
        self.set(name, String::new(), true, Some(Duration::ZERO));
    }

    fn has_cookies_to_set(&self) -> bool {
        !self.0.jar.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn write_cookies(&self, headers: &mut HeaderMap) {
        let jar = self.0.jar.lock().unwrap_or_else(PoisonError::into_inner);
        for cookie in jar.iter() {
            if let Ok(value) = HeaderValue::try_from(cookie.to_string()) {
                headers.append(header::SET_COOKIE, value);
            }
        }
    }
}

/// How many books are in a basket.
pub(crate) fn count(basket: &Basket) -> u32 {
    basket.items.iter().map(|line| line.quantity.get()).sum()
}

/// Names that only TLS pages of this very host can set, where there is TLS (RFC 6265bis, 4.1.3.2). The basket's cookie
/// keeps the name that the API gives it.
fn full_name(name: &str, secure: bool) -> String {
    if secure && matches!(name, ACCESS | REFRESH | CSRF | FLASH) { format!("__Host-{name}") } else { name.to_owned() }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or(PageError::Internal)
    }
}

/// Makes sure that many requests of one browser, each finding the access token gone, ask for a new one once.
#[derive(Clone)]
pub(crate) struct Refreshes(moka::future::Cache<String, Arc<TokenResponse>>);

impl Refreshes {
    pub(crate) fn new() -> Self {
        let lifetime = std::time::Duration::from_secs(10);
        Self(moka::future::Cache::builder().max_capacity(10_000).time_to_live(lifetime).build())
    }

    async fn refresh(
        &self,
        api: &ApiClient,
        caller: &Caller,
        token: &str,
    ) -> Result<Arc<TokenResponse>, Arc<ApiError>> {
        let request = TokenRequest::RefreshToken { refresh_token: token.to_owned() };
        self.0.try_get_with(token.to_owned(), async { api.token(caller, &request).await.map(Arc::new) }).await
    }
}

struct Cookies {
    pairs: Vec<(String, String)>,
    secure: bool,
}

impl Cookies {
    fn read(headers: &HeaderMap, secure: bool) -> Self {
        let pairs = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(Cookie::split_parse)
            .filter_map(|cookie| cookie.ok().map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned())))
            .collect();
        Self { pairs, secure }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let name = full_name(name, self.secure);
        self.pairs.iter().find(|(known, value)| *known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }
}

/// The middleware around every page.
pub(crate) async fn visit(State(web): State<Web>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let cookies = Cookies::read(&parts.headers, web.settings.secure_cookies);
    let seed = cookies.get(CSRF).filter(|seed| seed.len() <= 64).map(str::to_owned);
    let is_new = seed.is_none();
    let seed = seed.unwrap_or_else(csrf::fresh_seed);
    let session = Session::resume(&web, &parts.headers, &cookies).await;

    let here = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let back = if parts.method == Method::POST { referring_page(&parts.headers) } else { here.clone() };

    let rated = web.shelf.is_rated(&web.api, &session.caller).await;
    let visitor = Visitor(Arc::new(Inner {
        rated,
        account: session.caller.access_token.as_deref().and_then(Glimpse::of),
        refresh_token: session.refresh_token,
        caller: session.caller,
        basket_count: cookies.get(COUNT).and_then(|count| count.parse().ok()).unwrap_or(0),
        theme: Theme::parse(cookies.get(THEME).unwrap_or_default()),
        csrf: csrf::token(&web.settings.secret, &seed),
        flash: cookies.get(FLASH).and_then(|text| Flash::from_cookie(&web.settings.secret, text)),
        here,
        back,
        wants_json: accepts_json(&parts.headers),
        fragment: parts.headers.contains_key("x-fragment"),
        web: web.clone(),
        jar: Mutex::new(Vec::new()),
    }));
    if is_new {
        visitor.set(CSRF, seed, true, None);
    }
    match &session.renewal {
        Renewal::None => {}
        Renewal::Renewed(tokens) => visitor.store_tokens(tokens),
        Renewal::Ended => visitor.drop_tokens(),
    }

    let checked =
        if parts.method == Method::POST { check_form(&visitor, &parts, body).await } else { Ok(Fields::default()) };
    let mut response = match checked {
        Ok(fields) => {
            parts.extensions.insert(visitor.clone());
            parts.extensions.insert(fields);
            next.run(Request::from_parts(parts, Body::empty())).await
        }
        Err(failure) => failure.into_response(),
    };
    if let Some(Failure(failure)) = response.extensions_mut().remove::<Failure>() {
        response = explain(&visitor, &failure);
    }
    let headers = response.headers_mut();
    let control = headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    // A response that a shared cache may store has no cookies.
    if control.to_str().is_ok_and(|control| control.contains("public")) && visitor.has_cookies_to_set() {
        *control = HeaderValue::from_static("private, no-cache");
    }
    visitor.write_cookies(headers);
    response
}

async fn check_form(visitor: &Visitor, parts: &Parts, body: Body) -> Result<Fields, PageError> {
    if csrf::is_cross_site(&parts.headers) {
        return Err(PageError::Csrf);
    }
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let fields = if parts.uri.path() == UPLOADS && kind.to_ascii_lowercase().starts_with("multipart/form-data") {
        // Before a large body is read, the API says whether it is from staff.
        visitor.0.web.api.imports(visitor.caller()).await?;
        Fields::parse_multipart(read_upload(body).await?, kind).await.unwrap_or_default()
    } else {
        // Known before it comes: nobody needs to send it.
        if HttpBody::size_hint(&body).lower() > LARGEST_FORM as u64 {
            return Err(PageError::TooLarge);
        }
        Fields::parse(&to_bytes(body, LARGEST_FORM).await.map_err(|_| PageError::TooLarge)?)
    };
    let own: bool = subtle::ConstantTimeEq::ct_eq(visitor.csrf().as_bytes(), fields.get(csrf::FIELD).as_bytes()).into();
    if own { Ok(fields) } else { Err(PageError::Csrf) }
}

/// Reads a form with a file. What is too large is read on for a while and thrown away: a browser whose upload is cut off
/// shows a broken connection in place of the answer.
async fn read_upload(mut body: Body) -> Result<Bytes, PageError> {
    let size = HttpBody::size_hint(&body).lower();
    let mut content = BytesMut::with_capacity(usize::try_from(size).unwrap_or_default().min(LARGEST_UPLOAD));
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| PageError::TooLarge)?.into_data() else { continue };
        length += data.len();
        if length <= LARGEST_UPLOAD {
            content.extend_from_slice(&data);
        } else if length > HEARD_OUT {
            break;
        } else {
            content = BytesMut::new();
        }
    }
    if length > LARGEST_UPLOAD { Err(PageError::FileTooLarge) } else { Ok(content.freeze()) }
}

/// Path and query of the page that the browser says it comes from. Only the path is used, so it is always one of ours.
fn referring_page(headers: &HeaderMap) -> String {
    let referer = headers.get(header::REFERER).and_then(|referer| referer.to_str().ok());
    let Some(url) = referer.and_then(|referer| url::Url::parse(referer).ok()) else { return "/".to_owned() };
    let page = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    crate::view::local_path(&page).to_owned()
}

fn accepts_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.starts_with("application/json"))
}

fn explain(visitor: &Visitor, failure: &PageError) -> Response {
    if let PageError::Api(error) = failure
        && error.status() == http::StatusCode::UNAUTHORIZED
    {
        // A token that the API does not take is of no more use; without it the next page is a guest's.
        if visitor.caller().access_token.is_some() {
            visitor.forget(ACCESS);
        }
        return Redirect::to(&crate::view::sign_in_url(visitor.back())).into_response();
    }
    failure.page(visitor)
}

enum Renewal {
    None,
    Renewed(Arc<TokenResponse>),
    Ended,
}

struct Session {
    caller: Caller,
    refresh_token: Option<String>,
    renewal: Renewal,
}

impl Session {
    async fn resume(web: &Web, headers: &HeaderMap, cookies: &Cookies) -> Self {
        let mut caller = Caller::from_headers(headers);
        caller.basket_token = cookies.get(BASKET).map(str::to_owned);
        let mut session = Self {
            refresh_token: cookies.get(REFRESH).map(str::to_owned),
            renewal: Renewal::None,
            caller: Caller { access_token: cookies.get(ACCESS).map(str::to_owned), ..caller },
        };
        if session.caller.access_token.is_some() {
            return session;
        }
        let Some(refresh_token) = session.refresh_token.clone() else { return session };
        let asker = Caller { passed_on: session.caller.passed_on.clone(), ..Caller::default() };
        match web.refreshes.refresh(&web.api, &asker, &refresh_token).await {
            Ok(tokens) => {
                session.caller.access_token = Some(tokens.access_token.clone());
                session.refresh_token = Some(tokens.refresh_token.clone());
                session.renewal = Renewal::Renewed(tokens);
            }
            Err(error) if error.status().is_client_error() && error.status() != http::StatusCode::TOO_MANY_REQUESTS => {
                session.refresh_token = None;
                session.renewal = Renewal::Ended;
            }
            // The shop stays open for guests while identity does not answer; the cookie waits for its return.
            Err(_) => {}
        }
        session
    }
}
