//! Search: the state of its index, and synonyms.

use std::collections::BTreeSet;

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect},
};
use bookworm_contracts::rest::catalog::{MeaningState, SearchStatus, Synonyms};
use bookworm_kernel::FieldError;
use http::StatusCode;

use super::Staff;
use crate::{
    api::{ApiError, ApiResult},
    error::PageResult,
    flash::Flash,
    form::{Errors, Field, Fields},
    layout::{Shell, never_stored, page, page_with},
    pages::listing::short,
    service::Web,
    view,
};

/// Groups of synonyms; words of a group; characters of a word. The API has the same limits.
const GROUPS: usize = 1_000;
const WORDS: std::ops::RangeInclusive<usize> = 2..=20;
const LETTERS: usize = 60;
/// Lines that are wrong and named at once.
const NAMED: usize = 10;

#[derive(Template)]
#[template(path = "admin/search.html")]
struct SearchOffice {
    shell: Shell,
    status: StatusPart,
    /// Nothing when the synonyms are not to be had.
    synonyms: Option<SynonymsForm>,
    errors: Errors,
}

struct SynonymsForm {
    etag: String,
    field: Field,
    conflict: Option<Conflict>,
}

/// Somebody else saved while this form was open.
struct Conflict {
    saved: String,
    /// Groups that only one of the two versions has.
    only_saved: Vec<String>,
    only_yours: Vec<String>,
}

/// The part that changes by itself, alone for the island.
#[derive(Template)]
#[template(path = "admin/search_status.html")]
struct StatusPart {
    status: Option<Shown>,
    /// Milliseconds until it is worth looking again.
    every: u32,
}

struct Shown {
    books: String,
    bars: Vec<Bar>,
    badge: &'static str,
    state: &'static str,
    explained: &'static str,
    model: Option<String>,
    last_error: Option<String>,
}

struct Bar {
    id: &'static str,
    label: &'static str,
    done: i64,
    all: i64,
    words: String,
}

impl StatusPart {
    /// Says so when the status is not to be had, unless it is not for this caller.
    fn new(answer: ApiResult<SearchStatus>) -> Result<Self, ApiError> {
        match answer {
            Ok(status) => {
                let settled = status.indexed >= status.books && status.meaning != MeaningState::Building;
                Ok(Self { every: if settled { 10_000 } else { 2_000 }, status: Some(Shown::new(status)) })
            }
            Err(error) if is_about_the_caller(&error) => Err(error),
            Err(_) => Ok(Self { status: None, every: 10_000 }),
        }
    }
}

impl Shown {
    fn new(status: SearchStatus) -> Self {
        let (badge, state, explained) = match status.meaning {
            MeaningState::Off => ("off", "Off", "No model is set, so search matches keywords only."),
            MeaningState::Building => ("pending", "Building", "Books that aren’t ready yet are found by keyword only."),
            MeaningState::Ready => ("sent", "Ready", "Every book is found by keyword and by meaning."),
            MeaningState::Failing => (
                "failed",
                "Failing",
                "The model isn’t responding, so search matches keywords only. We retry automatically.",
            ),
        };
        let bar = |id, label, done: i64| Bar {
            id,
            label,
            done: done.clamp(0, status.books.max(0)),
            all: status.books.max(1),
            words: format!("{} of {}", view::number(&done), view::number(&status.books)),
        };
        let mut bars = vec![bar("by-words", "Found by keyword", status.indexed)];
        if status.meaning != MeaningState::Off {
            bars.push(bar("by-meaning", "Found by meaning", status.with_meaning));
        }
        Self {
            books: view::number(&status.books),
            bars,
            badge,
            state,
            explained,
            model: status.model,
            last_error: status.last_error,
        }
    }
}

/// Whether signing in, or another account, would help.
fn is_about_the_caller(error: &ApiError) -> bool {
    matches!(error.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// `GET /admin/search`
pub(crate) async fn show(State(web): State<Web>, staff: Staff) -> PageResult {
    let synonyms = match web.api.synonyms(staff.caller()).await {
        Ok((synonyms, etag)) => Some(SynonymsForm { etag, field: field(write(&synonyms)), conflict: None }),
        Err(error) if is_about_the_caller(&error) => return Err(error.into()),
        Err(_) => None,
    };
    office(&web, &staff, StatusCode::OK, synonyms, Errors::default()).await
}

/// `GET /admin/search/status`: the part that changes.
pub(crate) async fn status(State(web): State<Web>, staff: Staff) -> PageResult {
    page(&StatusPart::new(web.api.search_status(staff.caller()).await)?).map(never_stored)
}

/// `POST /admin/search`: `groups`, one on each line, and the `etag` of what was edited.
pub(crate) async fn save(State(web): State<Web>, staff: Staff, fields: Fields) -> PageResult {
    // As it was typed: lines are counted from the very first.
    let (typed, etag) = (fields.raw("groups").trim_end(), fields.get("etag"));
    let lines = read(typed);
    let problems = check(&lines);
    if !problems.is_empty() {
        return wrong(&web, &staff, StatusCode::BAD_REQUEST, typed, etag, problems).await;
    }
    let synonyms = Synonyms { groups: lines.iter().map(|line| line.words.clone()).collect() };
    let error = match web.api.save_synonyms(staff.caller(), etag, &synonyms).await {
        Ok(()) => {
            let groups = synonyms.groups.len();
            let groups = if groups == 1 { "1 group".to_owned() } else { format!("{groups} groups") };
            staff.flash(&Flash::success(format!("Saved {groups} of synonyms. Now live in search.")));
            return Ok(Redirect::to("/admin/search").into_response());
        }
        Err(error) => error,
    };
    match error.problem().map(|problem| (problem.status, problem)) {
        Some((412 | 428, _)) => conflict(&web, &staff, typed, &synonyms).await,
        Some((400 | 422, problem)) => {
            let mut problems: Vec<String> = problem.errors.iter().map(|error| on_its_line(error, &lines)).collect();
            if problems.is_empty() {
                problems.push("The synonyms weren’t saved. Check them and try again.".to_owned());
            }
            wrong(&web, &staff, error.status(), typed, etag, problems).await
        }
        _ => Err(error.into()),
    }
}

async fn office(
    web: &Web,
    staff: &Staff,
    status: StatusCode,
    synonyms: Option<SynonymsForm>,
    errors: Errors,
) -> PageResult {
    let office = SearchOffice {
        status: StatusPart::new(web.api.search_status(staff.caller()).await)?,
        shell: staff.office("Search"),
        synonyms,
        errors,
    };
    page_with(status, &office).map(never_stored)
}

/// The form again, with what was typed and what is wrong with it.
async fn wrong(
    web: &Web,
    staff: &Staff,
    status: StatusCode,
    typed: &str,
    etag: &str,
    mut problems: Vec<String>,
) -> PageResult {
    if problems.len() > NAMED {
        let more = problems.len() - NAMED;
        problems.truncate(NAMED);
        problems.push(format!("And {more} more."));
    }
    let field = field(typed.to_owned()).error(problems.join(" "));
    let fields = problems.into_iter().map(|problem| ("groups".to_owned(), problem)).collect();
    let form = SynonymsForm { etag: etag.to_owned(), field, conflict: None };
    office(web, staff, status, Some(form), Errors { fields, ..Errors::default() }).await
}

/// The form again, beside what somebody else saved meanwhile; saving it now is a decision.
async fn conflict(web: &Web, staff: &Staff, typed: &str, yours: &Synonyms) -> PageResult {
    let (saved, etag) = web.api.synonyms(staff.caller()).await?;
    let lines = |synonyms: &Synonyms| synonyms.groups.iter().map(|group| group.join(", ")).collect::<BTreeSet<_>>();
    let (theirs, mine) = (lines(&saved), lines(yours));
    let conflict = Conflict {
        saved: write(&saved),
        only_saved: theirs.difference(&mine).cloned().collect(),
        only_yours: mine.difference(&theirs).cloned().collect(),
    };
    let field = field(typed.to_owned()).label("Your version").hint("Edit it as needed.");
    let form = SynonymsForm { etag, field, conflict: Some(conflict) };
    let errors = Errors::general(
        "Somebody else saved synonyms while you were editing. Both versions are below: copy what you need from the \
         saved one, then save yours.",
    );
    office(web, staff, StatusCode::PRECONDITION_FAILED, Some(form), errors).await
}

fn field(value: String) -> Field {
    Field::new("groups", "Synonyms")
        .rows(12)
        .maxlength(200_000)
        .hint("One group per line, separated by commas: sci-fi, science fiction, sf")
        .optional()
        .value(value)
}

fn write(synonyms: &Synonyms) -> String {
    synonyms.groups.iter().map(|group| group.join(", ")).collect::<Vec<_>>().join("\n")
}

/// A line that has words, and its number.
struct Line {
    number: usize,
    words: Vec<String>,
}

/// Lines that are empty are none, words that come twice in a line come once.
fn read(typed: &str) -> Vec<Line> {
    let words_of = |line: &str| {
        let mut words: Vec<String> = Vec::new();
        for word in line.split(',') {
            let word = word.split_whitespace().collect::<Vec<_>>().join(" ");
            if !word.is_empty() && !words.iter().any(|known| known.to_lowercase() == word.to_lowercase()) {
                words.push(word);
            }
        }
        words
    };
    let lines = typed.lines().enumerate().map(|(at, line)| Line { number: at + 1, words: words_of(line) });
    lines.filter(|line| !line.words.is_empty()).collect()
}

/// What is wrong, a sentence for each line.
fn check(lines: &[Line]) -> Vec<String> {
    let mut problems = Vec::new();
    if lines.len() > GROUPS {
        problems.push(format!(
            "You can save up to {} groups; there are {}.",
            view::number(&(GROUPS as i64)),
            view::number(&i64::try_from(lines.len()).unwrap_or(i64::MAX))
        ));
    }
    for Line { number, words } in lines {
        let problem = match words.len() {
            1 => format!("add at least one synonym for “{}”", short(&words[0])),
            count if !WORDS.contains(&count) => {
                format!("a group can have up to {} words; this one has {count}", WORDS.end())
            }
            _ => match words.iter().find(|word| word.chars().count() > LETTERS) {
                Some(word) => format!("“{}” is longer than {LETTERS} characters", short(word)),
                None => continue,
            },
        };
        problems.push(format!("Line {number}: {problem}."));
    }
    problems
}

/// What the API refuses of a group, e.g. `/groups/3/1`, put as a message about the group's line.
fn on_its_line(error: &FieldError, lines: &[Line]) -> String {
    let mut parts = error.field.trim_start_matches('/').split('/');
    let group = parts.next().filter(|name| *name == "groups").and_then(|_| parts.next()?.parse::<usize>().ok());
    let Some(line) = group.and_then(|group| lines.get(group)) else {
        return "The synonyms weren’t saved. Check them and try again.".to_owned();
    };
    let word = parts.next().and_then(|place| line.words.get(place.parse::<usize>().ok()?));
    match word {
        Some(word) => format!("Line {}: “{}” can’t be used. Use letters and digits.", line.number, short(word)),
        None => format!("Line {}: this group can’t be used.", line.number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_line_by_line() {
        let lines = read("\n sci-fi ,  science   fiction,SF, sf,\r\n\n,,\nwhodunit, crime novel");
        let read: Vec<_> = lines.iter().map(|line| (line.number, line.words.join("|"))).collect();
        assert_eq!(read, [(2, "sci-fi|science fiction|SF".to_owned()), (5, "whodunit|crime novel".to_owned())]);
        assert!(check(&lines).is_empty());
    }

    #[test]
    fn what_is_wrong_names_its_line() {
        let many = (0..21).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let long = "é".repeat(61);
        let typed = format!("sea, ocean\n\nalone, Alone\n{many}\n{long}, b\n{}, b", "é".repeat(60));
        let problems = check(&read(&typed));
        let lines: Vec<&str> = problems.iter().map(|problem| &problem[..7]).collect();
        assert_eq!(lines, ["Line 3:", "Line 4:", "Line 5:"], "{problems:?}");
        let too_many = "a, b\n".repeat(GROUPS + 1);
        assert_eq!(check(&read(&too_many)), ["You can save up to 1,000 groups; there are 1,001."]);
    }

    #[test]
    fn the_apis_objections_find_their_line() {
        let lines = read("\nsea, ocean\n\ncrime, whodunit");
        let message = |field: &str| on_its_line(&FieldError::new(field, "is odd"), &lines);
        assert_eq!(message("/groups/1/0"), "Line 4: “crime” can’t be used. Use letters and digits.");
        assert_eq!(message("/groups/0"), "Line 2: this group can’t be used.");
        assert_eq!(message("/groups/7"), "The synonyms weren’t saved. Check them and try again.");
        assert_eq!(message("/groups"), "The synonyms weren’t saved. Check them and try again.");
    }
}
