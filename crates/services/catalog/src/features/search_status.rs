use std::sync::Arc;

use axum::extract::State;
use bookworm_contracts::rest::catalog::{MeaningState, SearchStatus};
use bookworm_http::{ApiJson, Result, auth::StaffOnly};

use crate::{service::Catalog, store::books};

/// How the search is: how many books it finds by their words and by their meaning, and what is wrong.
#[utoipa::path(get, path = "/admin/search", tag = "operations",
    responses(
        (status = 200, body = SearchStatus, description = "At this moment"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn search_status(State(catalog): State<Arc<Catalog>>, _: StaffOnly) -> Result<ApiJson<SearchStatus>> {
    let search = &catalog.search;
    let books = books::count(catalog.db.read()).await?;
    let stats = search.index().map(|index| (index.stats(), index.model()));
    let (stats, kept_model) = stats.unwrap_or_default();
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let (mut model, mut problem) = (None, None);
    let meaning = match search.embedder() {
        None => MeaningState::Off,
        Some(embedder) => match embedder.status().await {
            _ if embedder.is_off() => MeaningState::Off,
            Some(status) => {
                model = Some(status.model);
                problem = (!status.problem.is_empty()).then_some(status.problem);
                if !status.ready || embedder.is_failing() {
                    MeaningState::Failing
                } else if search.is_whole() && search.is_embedded() {
                    MeaningState::Ready
                } else {
                    MeaningState::Building
                }
            }
            None => {
                model = kept_model.map(|model| model.name);
                MeaningState::Failing
            }
        },
    };
    Ok(ApiJson(SearchStatus {
        books,
        indexed: count(stats.documents),
        with_meaning: count(stats.vectors.min(stats.documents)),
        model,
        meaning,
        last_error: search.last_error().or(problem),
    }))
}
