//! The reviews on the page of a book.

use askama::Template;
use bookworm_contracts::rest::rating::{Review, ReviewPage, ReviewPoint, ReviewSentence, ReviewSummary};

use super::out_of_five;
use crate::{
    api::ApiError,
    form::Query,
    names,
    service::Web,
    session::Visitor,
    shelf::MOMENT,
    view::{self, Calendar},
};

/// Reviews on one page.
const PAGE: &str = "10";

/// How reviews can be sorted, as the API names it.
const SORTS: [(&str, &str); 4] =
    [("helpful", "Most helpful"), ("newest", "Newest"), ("highest", "Highest rating"), ("lowest", "Lowest rating")];

/// The section of the page. Without the rating role it says that reviews cannot be shown, and nothing else.
#[derive(Template)]
#[template(path = "parts/reviews.html")]
pub(crate) struct Section {
    book_id: String,
    csrf: String,
    shop: String,
    calendar: Calendar,
    own: Option<Review>,
    list: Option<List>,
}

struct List {
    count: i64,
    average: f64,
    spread: Vec<Bar>,
    checked: String,
    /// What they say together; on the first page of all of them only.
    said: Vec<Side>,
    opinions: Vec<Opinion>,
    choices: Vec<Choices>,
    verified_only: bool,
    filtered: bool,
    /// The address that was asked for is none any more.
    lost: bool,
    all_href: String,
    first_href: Option<String>,
    next_href: Option<String>,
}

/// What readers praise, or what they miss.
struct Side {
    title: &'static str,
    points: Vec<SaidPoint>,
}

/// What several say: the sentence that stands for all, and the others.
struct SaidPoint {
    first: ReviewSentence,
    others: Vec<ReviewSentence>,
}

impl Side {
    fn new(title: &'static str, points: Vec<ReviewPoint>) -> Self {
        let point = |point: ReviewPoint| {
            let mut sentences = point.sentences.into_iter();
            Some(SaidPoint { first: sentences.next()?, others: sentences.collect() })
        };
        Self { title, points: points.into_iter().filter_map(point).collect() }
    }

    fn both(summary: ReviewSummary) -> Vec<Self> {
        let sides = [Self::new("Readers praise", summary.praised), Self::new("Readers miss", summary.missed)];
        sides.into_iter().filter(|side| !side.points.is_empty()).collect()
    }
}

/// How many reviews give so many stars.
struct Bar {
    stars: u8,
    count: i64,
    href: String,
}

struct Choices {
    name: &'static str,
    label: &'static str,
    options: Vec<(String, String, bool)>,
}

/// A review as it is read.
pub(crate) struct Opinion {
    pub(crate) review: Review,
    pub(crate) paragraphs: Vec<String>,
    pub(crate) answer: Vec<String>,
    /// Whether who reads it wrote it.
    pub(crate) own: bool,
    /// Whether who reads it has an account, and whether they found it helpful.
    pub(crate) may_vote: bool,
    pub(crate) voted: bool,
    pub(crate) stars: &'static str,
    pub(crate) words: String,
    pub(crate) foreign: Option<String>,
}

impl Opinion {
    pub(crate) fn new(review: Review, own: bool) -> Self {
        let lines = |text: Option<&str>| -> Vec<String> {
            let lines = text.unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(str::to_owned).collect()
        };
        Self {
            paragraphs: lines(review.text.as_deref()),
            answer: lines(review.answer.as_ref().map(|answer| answer.text.as_str())),
            own,
            may_vote: review.found_helpful.is_some(),
            voted: review.found_helpful.unwrap_or_default(),
            stars: view::stars(&review.rating),
            words: out_of_five(&review.rating),
            foreign: view::foreign(&review.language).map(str::to_owned),
            review,
        }
    }
}

impl Section {
    /// What readers think of this book, as the address asks. The page does not wait long for it, and does not fail
    /// with it.
    pub(crate) async fn read(web: &Web, visitor: &Visitor, id: &str, query: &Query) -> Self {
        let (sort, stars) = (known_sort(query.get("sort")), known_stars(query.get("stars")));
        let verified_only = query.get("verified") == "true";
        let verified = if verified_only { "true" } else { "" };
        let (language, cursor) = (query.get("language"), query.get("cursor"));
        let filters =
            [("sort", sort), ("stars", stars), ("verified", verified), ("language", language), ("cursor", cursor)];
        let filters: Vec<_> = filters.into_iter().chain([("limit", PAGE)]).collect();
        let caller = visitor.caller();
        let own = async {
            visitor.account()?;
            let mine = [("book_id", id), ("limit", "1")];
            web.api.own_reviews(caller, &mine).await.ok()?.items.pop()
        };
        let asked = async { tokio::join!(web.api.reviews(caller, id, &filters), own) };
        let (found, own) = match tokio::time::timeout(MOMENT, asked).await {
            Ok((found, own)) => (found, own),
            Err(_) => (Err(ApiError::Unreachable), None),
        };
        let (found, lost) = match found {
            Ok(page) => (Some(page), false),
            // A cursor or language that means nothing: the reviews are there all the same.
            Err(error) if error.status() == http::StatusCode::BAD_REQUEST => {
                let first = tokio::time::timeout(MOMENT, web.api.reviews(caller, id, &[("limit", PAGE)])).await;
                (first.ok().and_then(Result::ok), true)
            }
            Err(_) => (None, false),
        };
        let own_id = own.as_ref().map(|review| review.id);
        let asked = Asked { id, sort, stars, language, verified_only, query };
        Self {
            book_id: id.to_owned(),
            csrf: visitor.csrf().to_owned(),
            shop: web.settings.shop_name.clone(),
            calendar: visitor.calendar(),
            list: found.map(|page| asked.list(page, lost, |review| Some(review.id) == own_id)),
            own,
        }
    }
}

/// What the address asks for.
struct Asked<'a> {
    id: &'a str,
    sort: &'a str,
    stars: &'a str,
    language: &'a str,
    verified_only: bool,
    query: &'a Query,
}

impl Asked<'_> {
    fn list(&self, page: ReviewPage, lost: bool, is_own: impl Fn(&Review) -> bool) -> List {
        let here = format!("/books/{}", view::encoded(self.id).replace("%2D", "-"));
        let href = |name: &str, value: &str| format!("{here}?{}#reviews", self.query.with(name, value));
        let option = |value: &str, label: String, chosen: &str| (value.to_owned(), label, value == chosen);
        let sorts = SORTS.iter().map(|(value, label)| option(value, (*label).to_owned(), self.sort));
        let stars = (1..=5).rev().map(|stars: u8| option(&stars.to_string(), count_of_stars(stars), self.stars));
        let any = |label: &str, chosen: &str| option("", label.to_owned(), chosen);
        let mut choices = vec![
            Choices { name: "sort", label: "Sort by", options: sorts.collect() },
            Choices {
                name: "stars",
                label: "Stars",
                options: std::iter::once(any("All", self.stars)).chain(stars).collect(),
            },
        ];
        if page.languages.len() > 1 {
            let languages = page.languages.iter().map(|one| {
                let label = format!("{} ({})", names::language(&one.language), one.count);
                option(&one.language, label, self.language)
            });
            let options = std::iter::once(any("All", self.language)).chain(languages).collect();
            choices.push(Choices { name: "language", label: "Language", options });
        }
        let filtered = !(self.stars.is_empty() && self.language.is_empty()) || self.verified_only;
        let first = self.query.get("cursor").is_empty();
        let summary = page.summary.filter(|_| first && !filtered);
        List {
            count: page.count,
            average: page.average,
            spread: page
                .distribution
                .iter()
                .map(|one| Bar { stars: one.stars, count: one.count, href: href("stars", &one.stars.to_string()) })
                .collect(),
            checked: page.checked,
            said: summary.map(Side::both).unwrap_or_default(),
            opinions: page
                .items
                .into_iter()
                .map(|review| (is_own(&review), review))
                .map(|(own, review)| Opinion::new(review, own))
                .collect(),
            choices,
            verified_only: self.verified_only,
            filtered,
            lost,
            first_href: (!first).then(|| href("cursor", "")),
            next_href: page.next.filter(|_| !lost).map(|cursor| href("cursor", &cursor)),
            all_href: format!("{here}#reviews"),
        }
    }
}

/// `1 star`, `5 stars`
fn count_of_stars(stars: u8) -> String {
    format!("{stars} star{}", if stars == 1 { "" } else { "s" })
}

fn known_sort(sort: &str) -> &'static str {
    SORTS.iter().find(|(known, _)| *known == sort).map_or("helpful", |(known, _)| known)
}

fn known_stars(stars: &str) -> &str {
    if matches!(stars, "1" | "2" | "3" | "4" | "5") { stars } else { "" }
}
