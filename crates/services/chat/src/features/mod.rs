//! One file for each use case over HTTP: request, rule, storage call and route together.

use utoipa_axum::router::OpenApiRouter;

use crate::ChatService;

pub(crate) fn routes() -> OpenApiRouter<ChatService> {
    OpenApiRouter::new()
}
