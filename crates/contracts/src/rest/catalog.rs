//! Books, authors, publishers, subjects, stock, search.

use bookworm_kernel::{AuthorId, BookId, Isbn13, Money, PublisherId, SubjectId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A name with its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthorRef {
    /// The author.
    pub id: AuthorId,
    /// As printed on the cover.
    pub name: String,
}

/// What readers think of a book.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct RatingSummary {
    /// The plain mean, 0.5 to 5; 0 when nobody rated.
    pub average: f64,
    /// How many rated.
    pub count: i64,
    /// Where the numbers are from. They are never mixed.
    #[serde(default)]
    pub source: RatingSource,
}

/// Where a rating is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RatingSource {
    /// The published reviews of this shop.
    #[default]
    Reviews,
    /// An import, as nobody has reviewed the book here: see `imported_rating`.
    Imported,
}

/// A rating that came with an import: given elsewhere, by people whom the shop does not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportedRating {
    /// The mean, 0 to 5.
    pub average: f64,
    /// How many rated.
    pub count: i64,
    /// Where they rated, as the import names it; null when it does not.
    pub source: Option<String>,
}

/// A book as the shop shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Book {
    /// The book.
    pub id: BookId,
    /// Its key in the file it was imported from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_id: Option<String>,
    /// ISBN-13 of this edition.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub isbn13: Option<Isbn13>,
    /// The title.
    pub title: String,
    /// In the order of the cover.
    pub authors: Vec<AuthorRef>,
    /// The publisher's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub publisher: Option<String>,
    /// Year of first publication; negative before the common era.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub year: Option<i32>,
    /// The text's language, as a BCP 47 tag: `en`, `grc`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub language: Option<String>,
    /// Number of pages.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages: Option<i32>,
    /// Names of subjects.
    pub subjects: Vec<String>,
    /// Name of the series.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub series: Option<String>,
    /// Which volume of the series it is: 1, 2.5.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub series_position: Option<f64>,
    /// A paragraph about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// What it costs; 0 when it is not for sale and has no price yet.
    pub price: Money,
    /// Whether it is sold at all. When it is not, its price means nothing and no copy is available.
    #[serde(default = "yes")]
    pub for_sale: bool,
    /// What it cost before, when it is reduced.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub list_price: Option<Money>,
    /// What readers think: the reviews of this shop, or the imported rating while there are none.
    pub rating: RatingSummary,
    /// The rating that came with an import.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub imported_rating: Option<ImportedRating>,
    /// Copies that can be bought now.
    pub available: i64,
    /// Path of the cover.
    pub cover_url: String,
    /// Counts edits; the number in the `ETag`.
    pub version: i64,
    /// When it was last edited.
    pub updated_at: Timestamp,
}

/// `POST /books`, `PUT /books/{id}`: the whole book.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BookInput {
    /// 1 to 500 characters.
    pub title: String,
    /// Names, 0 to 50, each 1 to 200 characters. Unknown names become new authors.
    #[serde(default)]
    pub authors: Vec<String>,
    /// What it costs; not negative.
    pub price: Option<Money>,
    /// ISBN-10 or 13.
    #[serde(default)]
    pub isbn13: Option<String>,
    /// 1 to 200 characters.
    #[serde(default)]
    pub publisher: Option<String>,
    /// -5000 to 3000.
    #[serde(default)]
    pub year: Option<i32>,
    /// By any code of ISO 639 or by name: `en`, `eng`, `English`.
    #[serde(default)]
    pub language: Option<String>,
    /// 1 to 100,000.
    #[serde(default)]
    pub pages: Option<i32>,
    /// Names, 0 to 50, each 1 to 100 characters.
    #[serde(default)]
    pub subjects: Vec<String>,
    /// 1 to 300 characters.
    #[serde(default)]
    pub series: Option<String>,
    /// Which volume of the series it is: 0 to 150, with up to two decimals.
    #[serde(default)]
    pub series_position: Option<f64>,
    /// Up to 20,000 characters.
    #[serde(default)]
    pub description: Option<String>,
    /// Higher than the price.
    #[serde(default)]
    pub list_price: Option<Money>,
    /// Key in an import file, unique; up to 300 characters.
    #[serde(default)]
    pub source_id: Option<String>,
    /// Copies in stock, for a new book only.
    #[serde(default)]
    pub stock: Option<i64>,
    /// Whether it is sold, `true` when left out. A book that is not needs no price.
    #[serde(default)]
    pub for_sale: Option<bool>,
}

/// A book of a shop before books could be not for sale.
const fn yes() -> bool {
    true
}

/// How a list of books is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BookSort {
    /// Best match first; without a query, what is rated most.
    #[default]
    Relevance,
    /// Latest year first.
    Newest,
    /// Cheapest first.
    Price,
    /// Dearest first.
    #[serde(rename = "-price")]
    PriceDescending,
    /// Best rated first.
    Rating,
    /// By title.
    Title,
}

/// Author, publisher or subject with how many books it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Named<Id> {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Books on sale.
    pub books: i64,
    /// Counts edits; the number in the `ETag`.
    pub version: i64,
}

/// An author.
pub type Author = Named<AuthorId>;
/// A publisher.
pub type Publisher = Named<PublisherId>;
/// A subject.
pub type Subject = Named<SubjectId>;

/// `POST` and `PUT` of authors, publishers and subjects.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NameInput {
    /// 1 to 200 characters; unique.
    pub name: String,
}

/// `GET /admin/authors/doubles`: authors who may be one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuthorDoubles {
    /// The surest first, then those with most books.
    pub groups: Vec<AuthorGroup>,
}

/// Authors who may be one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuthorGroup {
    /// Why they may be.
    pub reason: AuthorLikeness,
    /// Two or more, the one with most books first.
    pub authors: Vec<Author>,
}

/// Why two authors may be one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthorLikeness {
    /// Their names differ in case, accents, dots, hyphens or order alone.
    Spelling,
    /// One name shortens the other: `U. K. Le Guin`, `Ursula Le Guin`.
    Initials,
}

/// `POST /authors/{id}/merge`
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeAuthor {
    /// The author that stays.
    pub into: AuthorId,
}

/// `POST /authors/{id}/split`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitAuthor {
    /// The new author's name: 1 to 200 characters, unique.
    pub name: String,
    /// The books that become theirs: 1 to 500 of the author's.
    pub books: Vec<BookId>,
}

/// How many copies there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stock {
    /// Copies in stock, reserved ones included.
    pub on_hand: i64,
    /// Of these, reserved for orders.
    pub reserved: i64,
    /// What can be sold: `on_hand - reserved`, never negative.
    pub available: i64,
}

/// `POST /books/{id}/stock/adjustments`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StockAdjustment {
    /// Copies that came (positive) or went (negative); not 0, at most a million.
    pub delta: i64,
    /// Why; 1 to 200 characters.
    pub reason: String,
}

/// One hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchHit {
    /// The book.
    pub book: Book,
    /// The language of its title, as a BCP 47 tag, where it is known: for the `lang` of what shows it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lang: Option<String>,
    /// Higher is better; comparable within one answer only.
    pub score: f64,
    /// How it was found.
    pub matched: Matched,
    /// It is not what was asked for, only something like it: `total` does not count it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub related: bool,
    /// Where the query's words stand in it: parts of its title, authors or description, as they are printed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub highlights: Vec<Highlight>,
    /// Why it stands where it does: for staff who asked with `explain=true`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub explanation: Option<Explanation>,
}

/// A part of a book's text, with the words that match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Highlight {
    /// `title`, `authors` or `description`.
    pub field: String,
    /// The text, in pieces: joined, they are the whole part. Plain text, never markup.
    pub pieces: Vec<Piece>,
}

/// A stretch of text that matches, or does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// Whether the query asked for it.
    pub hit: bool,
}

/// How a hit's score came to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Place on the text side, counted from 1; null when the words did not find it.
    pub text_rank: Option<u32>,
    /// BM25 score on the text side.
    pub text_score: Option<f64>,
    /// Place on the meaning side, counted from 1; null when it was not near.
    pub meaning_rank: Option<u32>,
    /// Cosine similarity, -1 to 1.
    pub meaning_score: Option<f64>,
    /// What the score is made of, one sentence for each part.
    pub reasons: Vec<String>,
}

/// Which side of the search found a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Matched {
    /// By its words.
    pub text: bool,
    /// By its meaning.
    pub meaning: bool,
}

/// A value to filter by and how many books have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FacetValue {
    /// What to send as the filter.
    pub value: String,
    /// How many books of the whole result have it.
    pub count: i64,
}

/// Values to filter a result by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Facets {
    /// Subjects, most frequent first.
    pub subject: Vec<FacetValue>,
    /// Languages, most frequent first.
    pub language: Vec<FacetValue>,
    /// Authors, most frequent first.
    pub author: Vec<FacetValue>,
    /// Price ranges, e.g. `0-999`, in minor units.
    pub price: Vec<FacetValue>,
}

/// `GET /search`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchResponse {
    /// Best first.
    pub items: Vec<SearchHit>,
    /// For the next page; null on the last.
    pub next: Option<String>,
    /// What to narrow the result by.
    pub facets: Facets,
    /// How many books are what was asked for. Books that are only like it (`related`) come behind or between them and
    /// are not counted.
    pub total: i64,
    /// The query with its spelling corrected, when that finds something better.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub did_you_mean: Option<String>,
    /// The corrected query that was searched for instead, since it finds what was clearly meant. `exact=true` searches as
    /// typed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub corrected_to: Option<String>,
    /// Nothing has the query's words: these are the nearest by meaning.
    #[serde(default)]
    pub nearest: bool,
    /// The shop has no book of this name: the items are the nearest to it, `total` is 0 and there are no facets.
    #[serde(default)]
    pub missing: bool,
    /// The query has a number that would be an ISBN but for a digit: the items are the books that it may be.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub wrong_isbn: Option<WrongIsbn>,
    /// The query has an ISBN, and the shop has no book with it: the items are found by the rest of the query.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unknown_isbn: Option<Isbn13>,
    /// What parts of the query were understood as, beside words to look for. `ignore` takes each away.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub readings: Vec<Reading>,
    /// The author whose name the query is; their books come first, best known first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub author: Option<AuthorCard>,
    /// Whether a part of the search did not take part.
    pub degraded: bool,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What a part of a query was understood as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reading {
    /// What `ignore` takes it away by.
    pub kind: ReadingKind,
    /// In words for readers: `Published in 2010`.
    pub text: String,
    /// Whether the items are so. When not, no book that the rest of the query finds is so, or none is all that was wished at
    /// once: books that are not are shown too, after those that are in part.
    pub is_met: bool,
}

/// Kinds of what a part of a query may be understood as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadingKind {
    /// The best rated first.
    Best,
    /// The newest first.
    New,
    /// The cheapest first.
    Cheap,
    /// Up to a price.
    Price,
    /// Published in a year, or some years.
    Year,
    /// In a language.
    Language,
    /// For somebody of some age.
    Age,
    /// Like another book.
    Like,
    /// A volume of a series.
    Volume,
    /// Words in quotation marks that no book has in a row.
    Phrase,
}

impl ReadingKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Best,
        Self::New,
        Self::Cheap,
        Self::Price,
        Self::Year,
        Self::Language,
        Self::Age,
        Self::Like,
        Self::Volume,
        Self::Phrase,
    ];

    /// Its name in addresses and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::New => "new",
            Self::Cheap => "cheap",
            Self::Price => "price",
            Self::Year => "year",
            Self::Language => "language",
            Self::Age => "age",
            Self::Like => "like",
            Self::Volume => "volume",
            Self::Phrase => "phrase",
        }
    }
}

/// An author whom a search names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthorCard {
    /// The author.
    pub id: AuthorId,
    /// As printed on covers.
    pub name: String,
    /// How many of their books the shop has.
    pub book_count: i64,
}

/// A number whose last digit does not fit the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WrongIsbn {
    /// The digits as typed.
    pub typed: String,
    /// What the last character would have to be.
    pub expected: String,
    /// The ISBN that was most likely meant: of a book in the shop when there is one, else with the last digit corrected.
    pub meant: Isbn13,
}

/// What a suggestion completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuggestionKind {
    /// A book's title.
    Title,
    /// An author's name.
    Author,
    /// A subject's name.
    Subject,
}

/// A completion of what is being typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Suggestion {
    /// The whole title or name.
    pub text: String,
    /// What it is.
    pub kind: SuggestionKind,
    /// Of the book, author or subject.
    pub id: uuid::Uuid,
    /// Of a title: who wrote it, in the order of the cover.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub authors: Vec<String>,
    /// Of a title: what it costs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub price: Option<Money>,
    /// Of a title: path of the cover.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cover_url: Option<String>,
    /// Of a title: its language, as a BCP 47 tag, where it is known: for the `lang` of what shows it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lang: Option<String>,
}

/// `GET /search/suggest`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Suggestions {
    /// At most ten.
    pub items: Vec<Suggestion>,
}

/// `GET /recommendations`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recommendations {
    /// Best first; one page only.
    pub items: Vec<Book>,
    /// What they are made from.
    pub basis: RecommendationBasis,
}

/// What recommendations are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecommendationBasis {
    /// What this customer bought and looked at.
    Yours,
    /// What sells: nothing but books that were sold, those with most copies first.
    Popular,
    /// Nothing: these are some of the books on sale.
    Shelf,
}

/// `GET` and `PUT /search/synonyms`: words that mean the same to a search.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Synonyms {
    /// Up to 1,000 groups of 2 to 20 words or phrases, each 1 to 60 characters.
    pub groups: Vec<Vec<String>>,
}

/// `GET /admin/search`: how the search is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchStatus {
    /// Books on sale.
    pub books: i64,
    /// Of these, those that a search finds by their words.
    pub indexed: i64,
    /// Of these, those that a search finds by their meaning.
    pub with_meaning: i64,
    /// The model that turns texts into vectors; null when there is none.
    pub model: Option<String>,
    /// Whether searches by meaning are answered.
    pub meaning: MeaningState,
    /// What went wrong last, in words for staff; null when nothing did.
    pub last_error: Option<String>,
}

/// Whether searches by meaning are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MeaningState {
    /// No model is there: texts only.
    Off,
    /// They are, for the books that have a vector by now.
    Building,
    /// They are, for every book.
    Ready,
    /// The model fails: texts only until it answers again (the circuit breaker is open or trying).
    Failing,
}
