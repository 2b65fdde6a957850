use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bookworm_contracts::rest::coupons::{Coupon as Shown, CouponBenefit, CouponInput};
use bookworm_db::DbError;
use bookworm_http::{ApiJson, Problem, Result, Validator, auth::StaffOnly, openapi::ProblemResponses};
use bookworm_kernel::{Currency, ErrorCode, FieldError, Money};
use http::{StatusCode, header};

use super::shown;
use crate::{
    domain::coupon::{Benefit, Coupon, CouponCode, Scope},
    service::Ordering,
    store::coupons::{self, Stored},
    visitor::author,
};

/// Names and books of one coupon, at most.
const MOST_NAMES: usize = 200;
const MOST_USES: u32 = 1_000_000;
const MOST_PER_CUSTOMER: u32 = 1_000;

/// Makes a coupon
///
/// For staff. Nobody changes it afterwards; it can be stopped. A code that was used before is refused with
/// `duplicate_value`, also when its coupon was stopped.
#[utoipa::path(
    post, path = "/admin/coupons", tag = "ordering", request_body = CouponInput,
    responses(
        (status = 201, description = "The coupon", body = Shown,
            headers(("Location" = String, description = "Where it can be read"))),
        (status = 409, description = "`duplicate_value`"),
        ProblemResponses
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn create_coupon(
    State(service): State<Arc<Ordering>>,
    StaffOnly(staff): StaffOnly,
    ApiJson(input): ApiJson<CouponInput>,
) -> Result<Response> {
    let coupon = read(input, service.terms.currency)?;
    let (by, now) = (author(&staff), service.now());
    let stored = Stored { coupon: coupon.clone(), uses: 0, created_at: now, created_by: by.clone(), stopped: None };
    let code = coupon.code.clone();
    let added = service
        .db
        .transact::<_, DbError, _>(move |tx| Box::pin(async move { coupons::insert(tx, &coupon, &by, now).await }))
        .await?;
    if !added {
        let taken = FieldError::new("/code", "is taken by another coupon");
        return Err(Problem::new(ErrorCode::DuplicateValue).field(taken));
    }
    let location = format!("/api/v1/admin/coupons/{code}");
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], ApiJson(shown::stored_coupon(stored))).into_response())
}

/// Checks every field.
///
/// # Errors
/// 400 `validation_failed` with all that are not valid.
fn read(input: CouponInput, currency: Currency) -> Result<Coupon> {
    let mut valid = Validator::new();
    let code = valid.take("/code", CouponCode::parse(&input.code));
    let name = valid.text("/name", &input.name, 1..=100);
    let money = |valid: &mut Validator, field: &str, money: Money| {
        valid.check(&format!("{field}/currency"), money.currency == currency, format!("must be {}", currency.code()));
        valid.check(&format!("{field}/amount"), money.amount > 0, "must be above 0");
        money
    };
    let benefit = match input.benefit {
        CouponBenefit::Percent { percent } => {
            valid.check("/benefit/percent", (1..=100).contains(&percent), "must be 1 to 100");
            Benefit::Percent(percent)
        }
        CouponBenefit::Amount { amount } => Benefit::Amount(money(&mut valid, "/benefit/amount", amount)),
        CouponBenefit::FreeDelivery => Benefit::FreeDelivery,
    };
    let minimum = input.minimum.map(|minimum| money(&mut valid, "/minimum", minimum));
    let mut names = |field: &str, names: Vec<String>| -> Vec<String> {
        let names = names.iter().take(MOST_NAMES).enumerate();
        names.map(|(place, name)| valid.text(&format!("{field}/{place}"), name, 1..=200)).collect()
    };
    let all =
        [&input.subjects, &input.authors, &input.publishers].map(Vec::len).iter().sum::<usize>() + input.books.len();
    let scope = Scope {
        subjects: names("/subjects", input.subjects),
        authors: names("/authors", input.authors),
        publishers: names("/publishers", input.publishers),
        books: input.books,
    };
    valid.check("/books", all <= MOST_NAMES, format!("must be at most {MOST_NAMES}, with the names"));
    if let Some((from, until)) = input.from.zip(input.until) {
        valid.check("/until", from < until, "must be after from");
    }
    let mut count = |field: &str, count: Option<u32>, most: u32| {
        valid.check(field, count.is_none_or(|count| (1..=most).contains(&count)), format!("must be 1 to {most}"));
        count
    };
    let max_uses = count("/max_uses", input.max_uses, MOST_USES);
    let per_customer = count("/per_customer", input.per_customer, MOST_PER_CUSTOMER);
    let Some(code) = code else { return Err(valid.finish().err().unwrap_or(ErrorCode::ValidationFailed.into())) };
    valid.finish()?;
    Ok(Coupon {
        code,
        name,
        benefit,
        scope,
        minimum,
        first_order: input.first_order,
        from: input.from,
        until: input.until,
        max_uses,
        per_customer,
    })
}
