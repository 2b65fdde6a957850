use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bookworm_contracts::rest::catalog::Synonyms;
use bookworm_http::{ApiJson, IfMatch, Problem, ProblemBody, Result, Validator, auth::StaffOnly, etag};
use bookworm_kernel::ErrorCode;
use http::header;

use crate::{
    domain::text::{fold, query_words},
    service::Catalog,
    store::synonyms,
};

/// The most groups.
const GROUPS: usize = 1_000;
/// Words or phrases of a group.
const WORDS: std::ops::RangeInclusive<usize> = 2..=20;
/// The most characters of one.
const CHARS: usize = 60;

/// Checks what staff sent; returns it trimmed, each word of a group once.
fn check(groups: Vec<Vec<String>>, valid: &mut Validator) -> Vec<Vec<String>> {
    valid.check("/groups", groups.len() <= GROUPS, format!("must be at most {GROUPS} groups"));
    let mut checked = Vec::new();
    for (g, group) in groups.into_iter().take(GROUPS).enumerate() {
        let mut words: Vec<String> = Vec::new();
        for (w, word) in group.iter().take(*WORDS.end() + 1).enumerate() {
            let field = format!("/groups/{g}/{w}");
            let word = valid.text(&field, word, 1..=CHARS);
            valid.check(&field, word.is_empty() || !query_words(&word).is_empty(), "must have a letter or a digit");
            if words.iter().all(|known| fold(known) != fold(&word)) {
                words.push(word);
            }
        }
        let message = format!("must be {} to {} different words or phrases", WORDS.start(), WORDS.end());
        valid.check(&format!("/groups/{g}"), group.len() <= *WORDS.end() && words.len() >= *WORDS.start(), message);
        checked.push(words);
    }
    checked
}

/// The words that mean the same to a search.
#[utoipa::path(get, path = "/search/synonyms", tag = "catalog",
    responses(
        (status = 200, body = Synonyms, description = "With its `ETag`"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn get_synonyms(State(catalog): State<Arc<Catalog>>, _: StaffOnly) -> Result<Response> {
    let (groups, version) = synonyms::read(catalog.db.read()).await?;
    Ok(([(header::ETAG, etag(version))], ApiJson(Synonyms { groups })).into_response())
}

/// Replaces the words that mean the same to a search. Searches use them from now on.
#[utoipa::path(put, path = "/search/synonyms", tag = "catalog", request_body = Synonyms,
    params(("If-Match" = String, Header, description = "The `ETag` of the version that was read, or `*`")),
    responses(
        (status = 200, body = Synonyms, description = "As they are now"),
        (status = 400, body = ProblemBody, description = "`validation_failed` with every field that is not valid"),
    ),
    security(("bearer" = ["staff"]))
)]
pub(crate) async fn put_synonyms(
    State(catalog): State<Arc<Catalog>>,
    _: StaffOnly,
    if_match: IfMatch,
    ApiJson(input): ApiJson<Synonyms>,
) -> Result<Response> {
    let mut valid = Validator::new();
    let groups = check(input.groups, &mut valid);
    valid.finish()?;
    let service = catalog.clone();
    let replaced = catalog.db.transact::<_, Problem, _>(move |tx| {
        Box::pin(async move {
            let (_, version) = synonyms::read(tx).await?;
            if_match.check(version)?;
            if !synonyms::replace(tx, &groups, version, service.clock.now()).await? {
                return Err(Problem::new(ErrorCode::EditConflict));
            }
            let (search, known) = (service.search.clone(), groups.clone());
            tx.after_commit(move || search.set_synonyms(&known, version + 1));
            Ok((groups, version + 1))
        })
    });
    let (groups, version) = replaced.await?;
    Ok(([(header::ETAG, etag(version))], ApiJson(Synonyms { groups })).into_response())
}
