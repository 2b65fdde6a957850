use axum::extract::State;
use bookworm_contracts::rest::{Page, chat::Policy};
use bookworm_http::{ApiJson, ApiPath, Problem, Result, openapi::ProblemResponses};

use crate::bot::{Bot, PolicyText};

/// The shop's policies
///
/// All of them, by their names: what the bot quotes and the pages show.
#[utoipa::path(
    get, path = "/chat/policies", tag = "chat",
    responses((status = 200, description = "All of them", body = Page<Policy>))
)]
pub(crate) async fn list_policies(State(bot): State<Bot>) -> ApiJson<Page<Policy>> {
    ApiJson(Page { items: bot.policies().all().into_iter().map(document).collect(), next: None })
}

/// One of the shop's policies
#[utoipa::path(
    get, path = "/chat/policies/{slug}", tag = "chat",
    params(("slug" = String, Path, description = "Its name, e.g. `returns`")),
    responses((status = 200, description = "The policy", body = Policy), ProblemResponses)
)]
pub(crate) async fn get_policy(State(bot): State<Bot>, ApiPath(slug): ApiPath<String>) -> Result<ApiJson<Policy>> {
    let policy = bot.policies().all().into_iter().find(|policy| policy.slug == slug);
    policy.map(document).map(ApiJson).ok_or_else(|| Problem::not_found("policy"))
}

fn document(policy: PolicyText) -> Policy {
    Policy { slug: policy.slug, title: policy.title, text: policy.text }
}
