//! Coupons: made, looked at and stopped.

use std::time::Duration;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::coupons::{Coupon, CouponBenefit, CouponInput, CouponUse};
use bookworm_kernel::{Currency, ErrorCode, Timestamp};
use http::StatusCode;

use super::{PAGE, Staff, books::shop_currency, next_href, settle};
use crate::{
    error::PageResult,
    flash::Flash,
    form::{Errors, Field, Fields, Query, whole_number},
    layout::{Shell, never_stored, page, page_with},
    service::Web,
    view::{Calendar, encoded},
};

/// Names of the form's fields that an error can belong to.
const KNOWN: &[&str] = &[
    "code",
    "name",
    "value",
    "subjects",
    "authors",
    "publishers",
    "books",
    "minimum",
    "from",
    "until",
    "max_uses",
    "per_customer",
];

/// What a coupon can take off, as the form names it.
const BENEFITS: [(&str, &str); 3] =
    [("percent", "A percentage"), ("amount", "An amount"), ("free_delivery", "Delivery (up to the cheapest method)")];

#[derive(Template)]
#[template(path = "admin/coupons.html")]
struct CouponsPage {
    shell: Shell,
    coupons: Vec<Row>,
    next_href: Option<String>,
}

/// A coupon in a table.
struct Row {
    coupon: Coupon,
    takes_off: String,
    used: String,
    standing: &'static str,
}

#[derive(Template)]
#[template(path = "admin/coupon_new.html")]
struct CouponForm {
    shell: Shell,
    errors: Errors,
    code: Field,
    name: Field,
    value: Field,
    fields: Vec<Field>,
    /// Value, words, whether it is chosen.
    benefits: Vec<(&'static str, &'static str, bool)>,
    first_order: bool,
    currency: String,
}

#[derive(Template)]
#[template(path = "admin/coupon.html")]
struct CouponPage {
    shell: Shell,
    row: Row,
    counts_for: Vec<(&'static str, String)>,
    uses: Vec<CouponUse>,
    next_href: Option<String>,
    calendar: Calendar,
}

#[derive(Template)]
#[template(path = "admin/coupon_stop.html")]
struct StopPage {
    shell: Shell,
    coupon: Coupon,
}

impl Row {
    fn new(coupon: Coupon, now: Timestamp) -> Self {
        let takes_off = match coupon.benefit {
            CouponBenefit::Percent { percent } => format!("{percent}%"),
            CouponBenefit::Amount { amount } => amount.to_string(),
            CouponBenefit::FreeDelivery => "Delivery".to_owned(),
        };
        let used = match coupon.max_uses {
            Some(most) => format!("{} of {most}", coupon.uses),
            None => coupon.uses.to_string(),
        };
        let standing = if coupon.stopped_at.is_some() {
            "Stopped"
        } else if coupon.until.is_some_and(|until| until <= now) {
            "Ended"
        } else if coupon.max_uses.is_some_and(|most| coupon.uses >= most) {
            "Used up"
        } else if coupon.from.is_some_and(|from| from > now) {
            "Not started"
        } else {
            "Valid"
        };
        Self { coupon, takes_off, used, standing }
    }
}

/// `GET /admin/coupons`
pub(crate) async fn list(State(web): State<Web>, staff: Staff, query: Query) -> PageResult {
    let asked = [("cursor", query.get("cursor")), ("limit", PAGE)];
    let found = web.api.coupons(staff.caller(), &asked).await?;
    let now = staff.calendar().now;
    page(&CouponsPage {
        shell: staff.office("Coupons"),
        next_href: next_href("/admin/coupons", &[], found.next.as_deref()),
        coupons: found.items.into_iter().map(|coupon| Row::new(coupon, now)).collect(),
    })
    .map(never_stored)
}

/// `GET /admin/coupons/{code}`
pub(crate) async fn show(State(web): State<Web>, staff: Staff, Path(code): Path<String>, query: Query) -> PageResult {
    let caller = staff.caller();
    let asked = [("cursor", query.get("cursor")), ("limit", PAGE)];
    let (coupon, uses) = tokio::try_join!(web.api.coupon(caller, &code), web.api.coupon_uses(caller, &code, &asked))?;
    let calendar = staff.calendar();
    let base = format!("/admin/coupons/{}", encoded(&coupon.code));
    let books = coupon.books.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let counts_for = [
        ("Subjects", coupon.subjects.join(", ")),
        ("Authors", coupon.authors.join(", ")),
        ("Publishers", coupon.publishers.join(", ")),
        ("Books", books),
    ];
    page(&CouponPage {
        shell: staff.office(format!("Coupon {}", coupon.code)),
        counts_for: counts_for.into_iter().filter(|(_, names)| !names.is_empty()).collect(),
        row: Row::new(coupon, calendar.now),
        next_href: next_href(&base, &[], uses.next.as_deref()),
        uses: uses.items,
        calendar,
    })
    .map(never_stored)
}

/// `GET /admin/coupons/{code}/stop`: asks whether it is meant.
pub(crate) async fn ask_stop(State(web): State<Web>, staff: Staff, Path(code): Path<String>) -> PageResult {
    let coupon = web.api.coupon(staff.caller(), &code).await?;
    page(&StopPage { shell: staff.office(format!("Stop {}", coupon.code)), coupon }).map(never_stored)
}

/// `POST /admin/coupons/{code}/stop`
pub(crate) async fn stop(State(web): State<Web>, staff: Staff, Path(code): Path<String>) -> PageResult {
    let outcome = web.api.stop_coupon(staff.caller(), &code).await;
    settle(&staff, outcome, "The coupon is stopped.", &format!("/admin/coupons/{}", encoded(&code)))
}

/// `GET /admin/coupons/new`
pub(crate) async fn blank(State(web): State<Web>, staff: Staff) -> PageResult {
    let currency = shop_currency(&web, &staff).await;
    form(&staff, StatusCode::OK, currency, &Fields::default(), Errors::default())
}

/// `POST /admin/coupons/new`
pub(crate) async fn create(State(web): State<Web>, staff: Staff, fields: Fields) -> PageResult {
    let currency = shop_currency(&web, &staff).await;
    let input = match read(&fields, currency, &staff.calendar()) {
        Ok(input) => input,
        Err(errors) => return form(&staff, StatusCode::BAD_REQUEST, currency, &fields, errors),
    };
    let error = match web.api.create_coupon(staff.caller(), &input).await {
        Ok(coupon) => {
            staff.flash(&Flash::success(format!("The code {} can be used.", coupon.code)));
            return Ok(Redirect::to(&format!("/admin/coupons/{}", encoded(&coupon.code))).into_response());
        }
        Err(error) => error,
    };
    let Some(problem) = error.problem().filter(|problem| matches!(problem.status, 400 | 409)) else {
        return Err(error.into());
    };
    let mut errors = Errors::default();
    if problem.code == ErrorCode::DuplicateValue.as_str() {
        errors.add("code", "Another coupon has this code. Stopped ones count too.");
    }
    for found in &problem.errors {
        let name = found.field.trim_start_matches('/').split('/').next().unwrap_or_default();
        let name = if name == "benefit" { "value" } else { name };
        if KNOWN.contains(&name) {
            errors.add(name, wrong(name));
        }
    }
    if errors.is_empty() {
        errors.general.push("The coupon wasn’t created. Check what you entered and try again.".to_owned());
    }
    form(&staff, error.status(), currency, &fields, errors)
}

/// What to say of a field that is not valid.
fn wrong(field: &str) -> &'static str {
    match field {
        "code" => "Enter a code of 3 to 32 letters, digits and hyphens.",
        "name" => "Enter a name of up to 100 characters, on one line.",
        "value" => "Enter a percentage from 1 to 100, or an amount above zero.",
        "minimum" => "Enter an amount above zero.",
        "books" => "Enter the IDs of books, one on each line. Names and books together can be 200.",
        "from" | "until" => "Enter a date such as 2026-11-29. The last day can’t be before the first.",
        "max_uses" => "Enter a number from 1 to 1000000.",
        "per_customer" => "Enter a number from 1 to 1000.",
        _ => "Enter up to 200 names, one on each line, of up to 200 characters each.",
    }
}

fn read(fields: &Fields, currency: Currency, calendar: &Calendar) -> Result<CouponInput, Errors> {
    let mut errors = Errors::default();
    for name in ["code", "name"] {
        if fields.get(name).is_empty() {
            errors.add(name, wrong(name));
        }
    }
    let value = fields.get("value");
    let percent = whole_number(value.trim_end_matches(['%', ' '])).and_then(|percent| u32::try_from(percent).ok());
    let benefit = match fields.get("benefit") {
        "free_delivery" => Some(CouponBenefit::FreeDelivery),
        "amount" => currency.parse_amount(value).ok().map(|amount| CouponBenefit::Amount { amount }),
        _ => percent.map(|percent| CouponBenefit::Percent { percent }),
    };
    if benefit.is_none() {
        errors.add("value", wrong("value"));
    }
    let minimum = fields.optional("minimum").map(|text| currency.parse_amount(&text));
    if let Some(Err(error)) = &minimum {
        errors.add("minimum", error.to_string());
    }
    let mut day = |name: &str| {
        let text = fields.optional(name)?;
        let day = calendar.zone.start_of_day(&text);
        if day.is_none() {
            errors.add(name, wrong(name));
        }
        day
    };
    let (from, last_day) = (day("from"), day("until"));
    let mut number = |name: &str| {
        let text = fields.optional(name)?;
        let number = whole_number(&text).and_then(|number| u32::try_from(number).ok());
        if number.is_none() {
            errors.add(name, wrong(name));
        }
        number
    };
    let (max_uses, per_customer) = (number("max_uses"), number("per_customer"));
    let lines = |name: &str| -> Vec<String> {
        let lines = fields.get(name).lines().map(str::trim);
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let books: Result<Vec<_>, _> = lines("books").iter().map(|id| id.parse()).collect();
    if books.is_err() {
        errors.add("books", wrong("books"));
    }
    let (Some(benefit), Ok(books), true) = (benefit, books, errors.is_empty()) else { return Err(errors) };
    Ok(CouponInput {
        code: fields.get("code").to_owned(),
        name: fields.get("name").to_owned(),
        benefit,
        subjects: lines("subjects"),
        authors: lines("authors"),
        publishers: lines("publishers"),
        books,
        minimum: minimum.and_then(Result::ok),
        first_order: fields.get("first_order") == "true",
        from,
        until: last_day.map(|day| end_of(day, calendar)),
        max_uses,
        per_customer,
    })
}

/// When the day that begins then is over. Days of 23 and of 25 hours end as their clocks say.
fn end_of(day: Timestamp, calendar: &Calendar) -> Timestamp {
    let noon_after = calendar.zone.local(day.plus(Duration::from_secs(36 * 3600)));
    let next = format!("{:04}-{:02}-{:02}", noon_after.year(), u8::from(noon_after.month()), noon_after.day());
    calendar.zone.start_of_day(&next).unwrap_or(day.plus(Duration::from_secs(24 * 3600)))
}

fn form(staff: &Staff, status: StatusCode, currency: Currency, typed: &Fields, errors: Errors) -> PageResult {
    let field = |field: Field| field.fill(typed, &errors);
    let names = |name, label| field(Field::new(name, label).rows(2).maxlength(10_000).hint("One per line.").optional());
    let date = |name, label, hint: &'static str| field(Field::new(name, label).maxlength(10).hint(hint).optional());
    let number = |name, label, hint: &'static str| {
        field(Field::new(name, label).inputmode("numeric").maxlength(7).hint(hint).optional())
    };
    let chosen = typed.get("benefit");
    let form = CouponForm {
        shell: staff.office("New coupon"),
        code: field(Field::new("code", "Code").maxlength(32).hint("What customers type. Capitals don’t matter.")),
        name: field(Field::new("name", "Name").maxlength(100).hint("What customers read beside the discount.")),
        value: field(
            Field::new("value", "How much")
                .inputmode("decimal")
                .maxlength(14)
                .hint("A percentage from 1 to 100, or an amount. Nothing for delivery.")
                .optional(),
        ),
        fields: vec![
            field(
                Field::new("minimum", "Minimum")
                    .inputmode("decimal")
                    .maxlength(14)
                    .hint("What the books it applies to must cost together.")
                    .optional(),
            ),
            names("subjects", "Subjects"),
            names("authors", "Authors"),
            names("publishers", "Publishers"),
            field(Field::new("books", "Books").rows(2).maxlength(10_000).hint("Their IDs, one per line.").optional()),
            date("from", "First day", "Such as 2026-11-29. Leave empty to begin now."),
            date("until", "Last day", "Leave empty for no end."),
            number("max_uses", "Total uses", "Leave empty for any number."),
            number("per_customer", "Uses per customer", "Counted by account and by email."),
        ],
        benefits: BENEFITS
            .iter()
            .enumerate()
            .map(|(place, (value, words))| (*value, *words, *value == chosen || (chosen.is_empty() && place == 0)))
            .collect(),
        first_order: typed.get("first_order") == "true",
        currency: currency.code().to_owned(),
        errors: errors.clone(),
    };
    page_with(status, &form).map(never_stored)
}

#[cfg(test)]
mod tests {
    use bookworm_kernel::TimeZone;

    use super::*;

    #[test]
    fn the_last_day_ends_as_its_clocks_say() {
        let calendar = |name: &str| Calendar { zone: TimeZone::parse(name).unwrap(), now: Timestamp::default() };
        let berlin = calendar("Europe/Berlin");
        for (day, end) in [
            ("2026-03-29", "2026-03-29T22:00:00Z"),
            ("2026-10-25", "2026-10-25T23:00:00Z"),
            ("2026-12-31", "2026-12-31T23:00:00Z"),
        ] {
            let begins = berlin.zone.start_of_day(day).unwrap();
            assert_eq!(end_of(begins, &berlin), Timestamp::parse(end).unwrap(), "{day}");
        }
    }
}
