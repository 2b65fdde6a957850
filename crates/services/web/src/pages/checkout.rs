//! Checkout on one page.

use askama::Template;
use axum::{
    extract::State,
    response::{Html, IntoResponse, Redirect, Response},
};
use bookworm_contracts::rest::{
    basket::{Basket, BasketLine},
    ordering::{
        Address, CheckoutRequest, PaymentInput, PaymentMethod, Quote, QuoteRequest, ShippingCountry, ShippingMethod,
    },
};
use bookworm_kernel::{Currency, ErrorCode, Money};
use http::{HeaderMap, StatusCode, header};
use uuid::Uuid;

use super::address_form::{self, AddressFields};
use crate::{
    api::{ApiError, CheckoutAnswer, ProblemBody},
    error::{PageError, PageResult},
    flash::Flash,
    form::{Errors, Field, Fields, Query},
    layout::{Shell, never_stored, page_with},
    names,
    pages::under_way::{self, UnderWay},
    service::Web,
    session::{Visitor, count},
    view::encoded,
};

/// What follows the reason why a code is refused.
const WITHOUT: &str = "The total is shown without it. Change the code, or clear the field.";

/// Names of the page's fields that an error can belong to.
const KNOWN: &[&str] =
    &["email", "name", "line1", "line2", "city", "region", "postal_code", "country", "shipping_method", "coupon"];

#[derive(Template)]
#[template(path = "checkout.html")]
struct CheckoutPage {
    shell: Shell,
    errors: Errors,
    key: String,
    email: Option<Field>,
    address: AddressFields,
    country: String,
    countries: Vec<ShippingCountry>,
    country_error: String,
    shipping: ShippingOptions,
    payment: PaymentOptions,
    place: PlaceLabel,
    summary: Summary,
}

/// How it can be paid: nothing is asked for when there is nothing to pay.
#[derive(Template)]
#[template(path = "parts/payment_options.html")]
struct PaymentOptions {
    is_free: bool,
    methods: Vec<(PaymentMethod, bool)>,
    error: String,
}

impl PaymentOptions {
    fn new(summary: &Summary, methods: Vec<PaymentMethod>, typed: &Fields, errors: &Errors) -> Self {
        let paid_with = typed.get("payment_token");
        let choice = |(place, method): (usize, PaymentMethod)| {
            let chosen = if paid_with.is_empty() { place == 0 } else { method.token == paid_with };
            (method, chosen)
        };
        Self {
            is_free: summary.is_free(),
            methods: methods.into_iter().enumerate().map(choice).collect(),
            error: errors.of("payment_token").to_owned(),
        }
    }
}

/// What the button says.
#[derive(Template)]
#[template(source = r#"<span id="f-place">{{ words }}</span>"#, ext = "html")]
struct PlaceLabel {
    words: String,
}

/// How it can be sent: changes with the country.
#[derive(Template)]
#[template(path = "parts/shipping_options.html")]
struct ShippingOptions {
    methods: Vec<MethodChoice>,
    /// The method that the page has chosen, and the one that the person chose, which need not serve this country.
    preset: String,
    remembered: String,
    country: String,
    error: String,
}

struct MethodChoice {
    code: String,
    name: String,
    days: String,
    price: String,
    chosen: bool,
}

/// What it costs: changes with country, region and shipping.
#[derive(Template)]
#[template(path = "parts/checkout_summary.html")]
struct Summary {
    lines: Vec<BasketLine>,
    coupon: Field,
    quote: Option<Quote>,
    unquoted: String,
    error: String,
}

impl Summary {
    fn is_free(&self) -> bool {
        self.quote.as_ref().is_some_and(|quote| quote.total.amount == 0)
    }

    /// What the button says: it names the sum that is paid.
    fn button(&self) -> String {
        match &self.quote {
            Some(quote) if quote.total.amount > 0 => format!("Pay {}", quote.total),
            _ => "Place order".to_owned(),
        }
    }
}

/// `GET /checkout`
pub(crate) async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    headers: HeaderMap,
    Query(mut query): Query,
) -> PageResult {
    if query.get("country").is_empty() {
        query.put("country", &likely_country(&headers));
    }
    render(&web, &visitor, StatusCode::OK, &query, Errors::default(), &fresh_key()).await
}

/// `GET /checkout/summary?country=&region=&shipping_method=&coupon=`: the parts that depend on the address, for the island.
pub(crate) async fn summary(State(web): State<Web>, visitor: Visitor, query: Query) -> PageResult {
    let caller = visitor.caller();
    let (basket, countries, payments) =
        tokio::try_join!(web.api.basket(caller), web.api.shipping_countries(caller), web.api.payment_methods(caller))?;
    let country = chosen_country(&query, &countries);
    let (shipping, summary) = priced(&web, &visitor, basket.basket, &country, &query, &Errors::default()).await?;
    let name = visitor.account().map_or("", |account| account.name.as_str());
    let address = AddressFields::new(&country, name, &query, &Errors::default())?;
    let payment = PaymentOptions::new(&summary, payments, &query, &Errors::default());
    let place = PlaceLabel { words: summary.button() };
    let parts = [address.render(), shipping.render(), payment.render(), place.render(), summary.render()];
    let parts: Result<Vec<String>, _> = parts.into_iter().collect();
    let parts = parts.map_err(|_| PageError::Internal)?;
    Ok(never_stored(Html(parts.concat()).into_response()))
}

/// `POST /checkout`
pub(crate) async fn place(State(web): State<Web>, visitor: Visitor, fields: Fields) -> PageResult {
    let key = match fields.get("idempotency_key").parse::<Uuid>() {
        Ok(key) => key.to_string(),
        Err(_) => fresh_key(),
    };
    if fields.get("action") == "update" {
        return render(&web, &visitor, StatusCode::OK, &fields, Errors::default(), &key).await;
    }
    let errors = check(&visitor, &fields);
    if !errors.is_empty() {
        return render(&web, &visitor, StatusCode::BAD_REQUEST, &fields, errors, &key).await;
    }
    // Without scripts the total is known once the address was sent. Nobody pays what they have not seen.
    if fields.get("expected_amount").is_empty() {
        let mut errors = Errors::default();
        "Check your total".clone_into(&mut errors.title);
        errors.add("review", "The summary shows the total for your address. Check it, then pay.");
        return render(&web, &visitor, StatusCode::OK, &fields, errors, &key).await;
    }
    match web.api.checkout(visitor.caller(), &key, &request(&visitor, &fields)).await {
        Ok(CheckoutAnswer::Order(order)) => {
            visitor.store_count(0);
            let key = order.access_key.as_deref().filter(|_| visitor.account().is_none());
            Ok(to_order(&order.id.to_string(), key))
        }
        Ok(CheckoutAnswer::Accepted { location }) => {
            let (path, query) = location.split_once('?').unwrap_or((&location, ""));
            let key = Fields::parse(query.as_bytes()).optional("key");
            Ok(to_order(path.rsplit('/').next().unwrap_or_default(), key.as_deref()))
        }
        Err(ApiError::Problem(problem)) => refused(&web, &visitor, &fields, *problem, &key).await,
        // Nobody knows whether the order was placed. The same key makes the next attempt find out.
        Err(ApiError::Unreachable) => {
            let errors = Errors::general(
                "We didn’t hear back in time, so we can’t tell yet whether your order went through. \
                 Press the button again: you won’t be charged twice.",
            );
            render(&web, &visitor, StatusCode::SERVICE_UNAVAILABLE, &fields, errors, &key).await
        }
    }
}

fn fresh_key() -> String {
    Uuid::new_v4().to_string()
}

fn to_order(id: &str, key: Option<&str>) -> Response {
    let query = key.map(|key| format!("?key={}", encoded(key))).unwrap_or_default();
    Redirect::to(&format!("/orders/{}{query}", encoded(id).replace("%2D", "-"))).into_response()
}

/// What the page can check without asking: what is missing.
fn check(visitor: &Visitor, fields: &Fields) -> Errors {
    let mut errors = Errors::default();
    if visitor.account().is_none() && !fields.get("email").contains('@') {
        errors.add("email", "Enter your email so we can send your confirmation.");
    }
    address_form::check(fields, &mut errors);
    if fields.get("shipping_method").is_empty() {
        errors.add("shipping_method", "Choose a shipping method.");
    }
    // A total of zero asks for no payment; the domain says so when it is not zero any more.
    if fields.get("payment_token").is_empty() && fields.get("expected_amount") != "0" {
        errors.add("payment_token", "Choose how to pay.");
    }
    errors
}

fn request(visitor: &Visitor, fields: &Fields) -> CheckoutRequest {
    let text = |name: &str| fields.get(name).to_owned();
    let shown = Currency::parse(fields.get("expected_currency"))
        .ok()
        .and_then(|currency| fields.get("expected_amount").parse().ok().map(|amount| Money::new(amount, currency)));
    CheckoutRequest {
        email: if visitor.account().is_some() { None } else { fields.optional("email") },
        shipping_address: Address {
            name: text("name"),
            line1: text("line1"),
            line2: fields.optional("line2"),
            city: text("city"),
            region: fields.optional("region"),
            postal_code: text("postal_code"),
            country: text("country"),
        },
        shipping_method: text("shipping_method"),
        payment: fields.optional("payment_token").map(|token| PaymentInput { token }),
        expected_total: shown,
        coupon: fields.optional("coupon"),
    }
}

/// Shows the refusal where it belongs on the page, with what was typed.
async fn refused(web: &Web, visitor: &Visitor, fields: &Fields, problem: ProblemBody, key: &str) -> PageResult {
    if problem.status == 401 {
        return Err(ApiError::Problem(Box::new(problem)).into());
    }
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut errors = Errors::from_api(&problem.errors, KNOWN);
    if problem.errors.iter().any(|error| error.field == "/payment") {
        errors = Errors::default();
        errors.add("payment_token", "Choose how to pay.");
    }
    // A definite no has used up the key: the same key would give the same no again.
    let mut key = fresh_key_unless(status.is_server_error() || problem.status == 429, key);
    match ErrorCode::parse(&problem.code) {
        Some(ErrorCode::PaymentActionRequired) => {
            if let Some(url) = problem.action_url.as_deref().and_then(payment_page) {
                return Ok(Redirect::to(&url).into_response());
            }
            errors.add("payment_token", problem.message());
        }
        Some(ErrorCode::BasketEmpty) => {
            visitor.store_count(0);
            visitor.flash(&Flash::problem(if visitor.sends_mail() {
                "Your basket is empty. If you’ve just ordered, check your email for the confirmation."
            } else {
                "Your basket is empty. If you’ve just ordered, your order went through."
            }));
            return Ok(Redirect::to("/basket").into_response());
        }
        Some(ErrorCode::OrderInProgress) => return Ok(under_way::refused(visitor, &problem)),
        Some(ErrorCode::PaymentDeclined) => {
            "Your payment was declined".clone_into(&mut errors.title);
            let why = sentence(problem.message());
            errors.add("payment_token", format!("{why} You haven’t been charged. Try again or pay another way."));
        }
        Some(
            ErrorCode::InsufficientStock
            | ErrorCode::PriceChanged
            | ErrorCode::BookUnavailable
            | ErrorCode::BasketFull
            | ErrorCode::TotalChanged,
        ) => {
            errors = Errors::default();
            let mut messages: Vec<String> = problem.lines.iter().filter_map(|line| line.sentence()).collect();
            if messages.is_empty() {
                messages.push(sentence(problem.message()));
            }
            if matches!(problem.code.as_str(), "price_changed" | "total_changed") {
                messages.push("The summary shows the new amounts. Check them and order again.".to_owned());
            }
            errors.add("review", messages.join(" "));
        }
        Some(ErrorCode::CouponRefused) => {
            errors = Errors::default();
            errors.add("coupon", format!("{} {WITHOUT}", sentence(problem.message())));
        }
        Some(ErrorCode::ShippingUnavailable) => errors.add("shipping_method", problem.message()),
        Some(ErrorCode::IdempotencyKeyReused) => errors.general.push(
            "You’ve already sent this form with other details. If you don’t have a confirmation, order again."
                .to_owned(),
        ),
        Some(ErrorCode::RequestInProgress) => {
            fields.get("idempotency_key").clone_into(&mut key);
            errors
                .general
                .push("We’re still working on your order. Wait a moment, then press the button again.".to_owned());
        }
        _ if errors.is_empty() => errors.general.push(problem.message().to_owned()),
        _ => {}
    }
    render(web, visitor, status, fields, errors, &key).await
}

fn fresh_key_unless(keep: bool, key: &str) -> String {
    if keep { key.to_owned() } else { fresh_key() }
}

/// Where to confirm a payment: a page of this shop, or the provider's over TLS. Anything else is not followed.
pub(crate) fn payment_page(url: &str) -> Option<String> {
    if crate::view::local_path(url) == url {
        return Some(url.to_owned());
    }
    let parsed = url::Url::parse(url).ok()?;
    matches!(parsed.scheme(), "https" | "http").then(|| url.to_owned())
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

async fn render(
    web: &Web,
    visitor: &Visitor,
    status: StatusCode,
    typed: &Fields,
    errors: Errors,
    key: &str,
) -> PageResult {
    let caller = visitor.caller();
    let (answer, countries, payments) =
        tokio::try_join!(web.api.basket(caller), web.api.shipping_countries(caller), web.api.payment_methods(caller),)?;
    visitor.store_basket(&answer);
    if answer.basket.items.is_empty() {
        return Ok(Redirect::to("/basket").into_response());
    }
    if let Some(under_way) = UnderWay::of(web, visitor, &answer.basket).await? {
        return under_way.page(visitor, count(&answer.basket));
    }
    let country = chosen_country(typed, &countries);
    let basket_count = count(&answer.basket);
    let (shipping, summary) = priced(web, visitor, answer.basket, &country, typed, &errors).await?;
    let mut shell = visitor.shell(if errors.is_empty() { "Checkout" } else { "Error: checkout" });
    shell.basket_count = basket_count;
    shell.quiet = true;
    let form = CheckoutPage {
        key: key.to_owned(),
        email: visitor.account().is_none().then(|| email_field(typed, &errors)),
        address: AddressFields::new(&country, visitor.account().map_or("", |account| &account.name), typed, &errors)?,
        countries,
        country_error: errors.of("country").to_owned(),
        payment: PaymentOptions::new(&summary, payments, typed, &errors),
        place: PlaceLabel { words: summary.button() },
        shell,
        errors,
        country,
        shipping,
        summary,
    };
    page_with(status, &form).map(never_stored)
}

fn email_field(typed: &Fields, errors: &Errors) -> Field {
    Field::new("email", "Email")
        .kind("email")
        .autocomplete("email")
        .inputmode("email")
        .maxlength(254)
        .hint("For your confirmation and a link to your order. No marketing.")
        .fill(typed, errors)
}

/// The region of the language that the browser prefers, such as `GB` of `en-GB`; empty when it names none.
fn likely_country(headers: &HeaderMap) -> String {
    let languages = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = languages.split([',', ';']).next().unwrap_or_default();
    let region = first.trim().split('-').skip(1).find(|part| part.len() == 2);
    region.map(str::to_ascii_uppercase).unwrap_or_default()
}

/// The country that was chosen, or is likely, where it is served; else the first that is.
fn chosen_country(typed: &Fields, served: &[ShippingCountry]) -> String {
    let chosen = typed.get("country");
    let found = served.iter().find(|country| country.code == chosen).or(served.first());
    found.map(|country| country.code.clone()).unwrap_or_default()
}

/// The method that the person chose: what was sent, unless the page itself had chosen that; then what they chose before.
fn wanted_method(typed: &Fields) -> &str {
    let sent = typed.get("shipping_method");
    if !sent.is_empty() && sent != typed.get("preset_method") { sent } else { typed.get("remembered_method") }
}

async fn priced(
    web: &Web,
    visitor: &Visitor,
    basket: Basket,
    country: &str,
    typed: &Fields,
    errors: &Errors,
) -> Result<(ShippingOptions, Summary), PageError> {
    let offers = match country {
        "" => Vec::new(),
        country => web.api.shipping_offers(visitor.caller(), country, basket.subtotal).await?,
    };
    let wanted = wanted_method(typed);
    // The cheapest comes first.
    let chosen =
        offers.iter().find(|method| method.code == wanted).or(offers.first()).map(|method| method.code.clone());
    let mut coupon = Field::new("coupon", "Coupon code").maxlength(100).optional().fill(typed, errors);
    let mut summary = Summary {
        coupon: coupon.clone(),
        quote: None,
        unquoted: "We’ll show the total once we know where to ship.".to_owned(),
        error: errors.of("review").to_owned(),
        lines: Vec::new(),
    };
    if let Some(code) = &chosen {
        let request = QuoteRequest {
            shipping_method: Some(code.clone()),
            country: country.to_owned(),
            region: typed.optional("region"),
            // One that the checkout has just refused may still have a price: how often its customer used it is looked at when
            // an order is placed.
            coupon: typed.optional("coupon").filter(|_| errors.of("coupon").is_empty()),
        };
        let mut quoted = web.api.quote(visitor.caller(), &request).await;
        if let Err(ApiError::Problem(problem)) = &quoted
            && problem.code == ErrorCode::CouponRefused.as_str()
        {
            // The price without it, and beside the field why.
            coupon = coupon.error(format!("{} {WITHOUT}", sentence(problem.message())));
            quoted = web.api.quote(visitor.caller(), &QuoteRequest { coupon: None, ..request }).await;
        }
        match quoted {
            Ok(quote) => summary.quote = Some(quote),
            Err(ApiError::Problem(problem)) if problem.errors.iter().any(|error| error.field == "/region") => {
                let name = bookworm_address::country(country).map_or("region", |country| country.region_name());
                summary.unquoted = format!("Choose your {name} to see tax and the total.");
            }
            Err(ApiError::Problem(problem)) if (400..500).contains(&problem.status) && problem.status != 401 => {
                problem.message().clone_into(&mut summary.unquoted);
            }
            Err(error) => return Err(error.into()),
        }
    }
    summary.lines = basket.items;
    summary.coupon = coupon;
    let shipping = ShippingOptions {
        preset: chosen.clone().unwrap_or_default(),
        remembered: wanted.to_owned(),
        methods: offers
            .iter()
            .map(|method| MethodChoice {
                code: method.code.clone(),
                name: method.name.clone(),
                days: days(method),
                price: price(method),
                chosen: chosen.as_deref() == Some(&method.code),
            })
            .collect(),
        country: names::country(country).to_owned(),
        error: errors.of("shipping_method").to_owned(),
    };
    Ok((shipping, summary))
}

fn days(method: &ShippingMethod) -> String {
    match (method.min_days, method.max_days) {
        (1, 1) => "Next business day".to_owned(),
        (from, to) if from == to => format!("{to} business days"),
        (from, to) => format!("{from} to {to} business days"),
    }
}

fn price(method: &ShippingMethod) -> String {
    let charge = method.charge.unwrap_or(method.price);
    if charge.amount == 0 { "Free".to_owned() } else { charge.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_person_chose_is_remembered_and_what_the_page_chose_is_not() {
        let wanted = |query: &str| wanted_method(&Fields::parse(query.as_bytes())).to_owned();
        assert_eq!(wanted(""), "");
        assert_eq!(wanted("shipping_method=international&preset_method=international"), "", "nobody chose it");
        assert_eq!(wanted("shipping_method=express&preset_method=standard"), "express");
        let abroad = "shipping_method=international&preset_method=international&remembered_method=express";
        assert_eq!(wanted(abroad), "express", "back home it is express again");
        assert_eq!(wanted("shipping_method=standard&preset_method=express&remembered_method=express"), "standard");
    }

    #[test]
    fn the_browsers_language_tells_the_likely_country() {
        let likely = |value: &'static str| {
            likely_country(&HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, http::HeaderValue::from_static(value))]))
        };
        assert_eq!(likely("en-GB,en;q=0.9"), "GB");
        assert_eq!(likely("zh-Hant-HK"), "HK");
        assert_eq!(likely("de"), "");
        assert_eq!(likely_country(&HeaderMap::new()), "");
    }

    #[test]
    fn a_payment_page_is_ours_or_a_web_page() {
        assert_eq!(payment_page("/sandbox/challenge/1?x=2").as_deref(), Some("/sandbox/challenge/1?x=2"));
        assert_eq!(payment_page("https://pay.example/3ds").as_deref(), Some("https://pay.example/3ds"));
        assert_eq!(payment_page("javascript:alert(1)"), None);
        assert_eq!(payment_page("//evil.example"), None);
    }
}
