use std::sync::Arc;

use axum::{extract::State, response::Response};
use bookworm_contracts::rest::catalog::{AuthorRef, Suggestion, SuggestionKind, Suggestions};
use bookworm_http::{ApiQuery, ProblemBody, Result, Validator};
use bookworm_kernel::{BookId, Money};
use bookworm_search::{Curve, Minimum, Prior, Request, Words};
use serde::Deserialize;
use uuid::Uuid;

use super::fresh;
use crate::{
    domain::text::{sort_key, title_key},
    search::{AUTHOR, SUBJECT, TITLE},
    service::Catalog,
    store::{
        find,
        names::{self, After, Kind},
    },
};

/// Authors, and subjects, among the suggestions at most.
const NAMES: usize = 3;
/// Suggestions at most.
const ITEMS: usize = 10;
/// With fewer titles than this, titles are looked for by their words as well.
const FEW: usize = 4;
/// How many of those at most.
const BY_WORDS: usize = 6;
/// The most characters that are completed.
const MAX_TYPED: usize = 200;

#[derive(Debug, Deserialize)]
pub(crate) struct SuggestParams {
    q: Option<String>,
}

/// Completions of what is being typed.
///
/// Titles, authors and subjects that begin so, or have a word that does; when there is none, those that begin with
/// something like it. Titles whose words or authors are typed, in any order and perhaps misspelt, fill them up. Case and
/// diacritics do not matter.
#[utoipa::path(get, path = "/search/suggest", tag = "catalog",
    params(("q" = Option<String>, Query, max_length = 200, description = "What was typed so far; up to 200 characters. Blank: no completions")),
    responses(
        (status = 200, body = Suggestions, description = "At most ten"),
        (status = 400, body = ProblemBody, description = "`validation_failed` with field `/q`"),
    ))]
pub(crate) async fn suggest(
    State(catalog): State<Arc<Catalog>>,
    ApiQuery(params): ApiQuery<SuggestParams>,
) -> Result<Response> {
    let query = params.q.unwrap_or_default();
    let mut valid = Validator::new();
    valid.check("/q", query.chars().count() <= MAX_TYPED, format!("must be at most {MAX_TYPED} characters"));
    valid.finish()?;
    let prefix = sort_key(&query);
    if prefix.is_empty() {
        return fresh(&Suggestions { items: Vec::new() }, []);
    }
    let search = &catalog.search;
    let proposed =
        if search.is_whole() { search.ask(move |index| Ok(propose(index, &query))).await.ok() } else { None };
    let mut items = match proposed {
        Some(items) => items,
        None => simple(&catalog, &prefix).await?,
    };
    show(&catalog, &mut items).await?;
    let books: Vec<BookId> =
        items.iter().filter(|item| item.kind == SuggestionKind::Title).map(|item| BookId::from_uuid(item.id)).collect();
    fresh(&Suggestions { items }, books)
}

/// From the index: titles, and room for some names.
fn propose(index: &bookworm_search::Index, typed: &str) -> Vec<Suggestion> {
    let kinds = [
        (TITLE, SuggestionKind::Title, ITEMS),
        (SUBJECT, SuggestionKind::Subject, NAMES),
        (AUTHOR, SuggestionKind::Author, NAMES),
    ];
    let mut found = index.suggest_each(typed, &kinds.map(|(code, _, most)| (code, most)));
    // What is only spelt like it comes behind what has the words.
    let tolerated = found[0].first().is_some_and(|title| title.tolerated);
    if found[0].len() < FEW || tolerated {
        let known: Vec<Uuid> = found[0].iter().map(|title| title.id).collect();
        let others: Vec<_> = titles(index, typed).into_iter().filter(|title| !known.contains(&title.id)).collect();
        let place = if tolerated { 0 } else { found[0].len() };
        found[0].splice(place..place, others);
    }
    let names: usize = found.iter().skip(1).map(Vec::len).sum();
    let author_first = is_author(typed, found[2].first(), found[0].first());
    let room = [ITEMS - names, NAMES, NAMES];
    let lists = found.into_iter().zip(kinds).zip(room);
    let items = lists.flat_map(|((list, (_, kind, _)), room)| {
        list.into_iter().take(room).map(move |found| suggestion(found.text, kind, found.id))
    });
    let mut items: Vec<Suggestion> = items.collect();
    if author_first {
        items.sort_by_key(|item| item.kind != SuggestionKind::Author);
    }
    items
}

/// Whether an author's name begins as typed, and no better known title does.
fn is_author(
    typed: &str,
    author: Option<&bookworm_search::Suggestion>,
    title: Option<&bookworm_search::Suggestion>,
) -> bool {
    let begins = |text: &str| sort_key(text).starts_with(&sort_key(typed));
    let known = author.filter(|author| !author.tolerated && begins(&author.text));
    // A title that was found by its words has no text yet, and does not begin so.
    let is_title =
        |author: f32| title.is_some_and(|title| !title.tolerated && begins(&title.text) && title.weight > author);
    known.is_some_and(|author| !is_title(author.weight))
}

/// Titles with these words in themselves or their authors' names, the last one perhaps unfinished, those that most know
/// first.
fn titles(index: &bookworm_search::Index, typed: &str) -> Vec<bookworm_search::Suggestion> {
    let words = Words::new(typed).field("title", 1.0).field("authors", 1.0).minimum(Minimum::All).prefix(true);
    let request = Request {
        text: Some(words.into()),
        priors: vec![Prior {
            field: "readers".to_owned(),
            curve: Curve::Log { full: 5_000_000.0 },
            text: 1.0,
            meaning: 0.0,
        }],
        limit: BY_WORDS,
        ..Request::default()
    };
    let found = index.search(&request).map(|found| found.hits).unwrap_or_default();
    // The titles themselves come with the books.
    let title =
        |id| bookworm_search::Suggestion { text: String::new(), kind: TITLE, id, weight: 0.0, tolerated: false };
    found.into_iter().map(|hit| title(hit.id)).collect()
}

fn suggestion(text: String, kind: SuggestionKind, id: Uuid) -> Suggestion {
    Suggestion { text, kind, id, authors: Vec::new(), price: None, cover_url: None, lang: None }
}

/// Gives titles what is shown with them; a book that was taken from sale at this very moment is left out.
async fn show(catalog: &Arc<Catalog>, items: &mut Vec<Suggestion>) -> Result<()> {
    #[derive(Deserialize)]
    struct Shown {
        title: String,
        authors: Vec<AuthorRef>,
        price: Money,
        cover_url: String,
        language: Option<String>,
    }
    let books = items.iter().filter(|item| item.kind == SuggestionKind::Title).map(|item| BookId::from_uuid(item.id));
    let books: Vec<BookId> = books.collect();
    let rows = catalog.cache.shown(catalog.db.read(), &books).await?;
    items.retain_mut(|item| {
        if item.kind != SuggestionKind::Title {
            return true;
        }
        let row = rows.get(&BookId::from_uuid(item.id));
        let Some(book) = row.and_then(|row| serde_json::from_str::<Shown>(row.get()).ok()) else { return false };
        item.text = book.title;
        item.authors = book.authors.into_iter().map(|author| author.name).collect();
        (item.price, item.cover_url, item.lang) = (Some(book.price), Some(book.cover_url), book.language);
        true
    });
    Ok(())
}

/// From the database, when there is no index.
async fn simple(catalog: &Arc<Catalog>, prefix: &str) -> Result<Vec<Suggestion>> {
    let db = catalog.db.read();
    let mut items = Vec::new();
    for (kind, shown) in [(Kind::Subject, SuggestionKind::Subject), (Kind::Author, SuggestionKind::Author)] {
        let rows = names::list(db, kind, prefix, &After::Books(None), NAMES as i64).await?;
        let named = rows.into_iter().filter(|row| row.book_count > 0);
        items.extend(named.map(|row| suggestion(row.name, shown, row.id)));
    }
    // Titles are kept without their article.
    let titles = find::titles(db, &title_key(prefix, None), (ITEMS - items.len()) as i64).await?;
    let title = |row: find::Completion| suggestion(row.text, SuggestionKind::Title, row.id);
    items.splice(0..0, titles.into_iter().map(title));
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposed(text: &str, weight: f32, tolerated: bool) -> bookworm_search::Suggestion {
        bookworm_search::Suggestion { text: text.to_owned(), kind: TITLE, id: Uuid::nil(), weight, tolerated }
    }

    #[test]
    fn an_author_comes_before_titles_that_fewer_know() {
        let author = proposed("Stephen King", 14.0, false);
        for (typed, title, first) in [
            ("stephen k", Some(proposed("Stephen King: A Life", 5.0, false)), true),
            ("stephen k", Some(proposed("", 0.0, false)), true),
            ("stephen k", None, true),
            ("stephen k", Some(proposed("Stephen Kills", 15.0, false)), false),
            ("king", Some(proposed("King Lear", 12.0, false)), false),
        ] {
            assert_eq!(is_author(typed, Some(&author), title.as_ref()), first, "{typed} / {title:?}");
        }
        assert!(!is_author("stefen", Some(&proposed("Stephen King", 14.0, true)), None));
        assert!(!is_author("it", None, None));
    }
}
