//! Coupons of the stand-in for the API.

use axum::{
    Json, Router,
    response::IntoResponse,
    routing::{get, post},
};
use http::StatusCode;
use serde_json::{Value, json};

use crate::fake_api::{BOOK, FakeApi, HOSTILE, ORDER, OTHER, money, page, problem};

/// A coupon that is used up; making another fails where its code is `TAKEN`.
pub fn coupons() -> Router<FakeApi> {
    let staff = json!({"id": OTHER, "name": "Ada <b>Staff</b>"});
    let coupon = json!({"code": "SPRING", "name": HOSTILE, "benefit": {"kind": "percent", "percent": 10},
        "subjects": [HOSTILE], "authors": [], "publishers": [], "books": [BOOK], "minimum": money(500), "first_order": true,
        "from": "2026-01-01T00:00:00Z", "until": null, "max_uses": 2, "per_customer": 1, "uses": 2,
        "created_at": "2026-03-01T12:30:00Z", "created_by": staff, "stopped_at": null, "stopped_by": null});
    let used = json!({"order_id": ORDER, "number": "BW-7K3M-92QX", "at": "2026-03-01T12:30:00Z", "discount": money(130),
        "returned_at": "2026-03-01T12:31:00Z"});
    let (list, one, stopped) = (coupon.clone(), coupon.clone(), coupon.clone());
    Router::new()
        .route(
            "/admin/coupons",
            get(move || async move { page(vec![list]) }).post(|Json(body): Json<Value>| async move {
                if body["code"] == "TAKEN" {
                    return problem(
                        409,
                        "duplicate_value",
                        json!({"errors": [{"field": "/code", "message": "is taken"}]}),
                    );
                }
                if body["max_uses"] == 0 {
                    let errors = json!([{"field": "/max_uses", "message": "must be 1 to 1000000"}]);
                    return problem(400, "validation_failed", json!({"errors": errors}));
                }
                (StatusCode::CREATED, Json(coupon)).into_response()
            }),
        )
        .route("/admin/coupons/{code}", get(move || async move { Json(one) }))
        .route("/admin/coupons/{code}/uses", get(move || async move { page(vec![used]) }))
        .route("/admin/coupons/{code}/stop", post(move || async move { Json(stopped) }))
}
