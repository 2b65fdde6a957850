//! One use case, one file.

pub(crate) mod gather;
pub(crate) mod history;
pub(crate) mod judge;
mod shop_health;

use std::sync::Arc;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::service::Monitor;

pub(crate) fn routes() -> OpenApiRouter<Arc<Monitor>> {
    OpenApiRouter::new().routes(routes!(shop_health::shop_health)).routes(routes!(shop_health::shop_health_events))
}
