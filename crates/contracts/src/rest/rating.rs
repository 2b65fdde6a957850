//! What readers think of books.

use bookworm_kernel::{BookId, CorrelationId, CustomerId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// `POST /books/{id}/reviews`, `PUT /reviews/{id}`: the whole review, as plain text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewInput {
    /// Stars, 0.5 to 5 in steps of 0.5.
    #[schema(minimum = 0.5, maximum = 5)]
    pub rating: f64,
    /// One line of at most 120 characters.
    #[serde(default)]
    #[schema(max_length = 120)]
    pub title: Option<String>,
    /// At most 5,000 characters. Nothing in it is markup, and addresses in it are no links.
    #[serde(default)]
    #[schema(max_length = 5000)]
    pub text: Option<String>,
    /// The language of the words, by any code of ISO 639 or by name: `en`, `eng`, `English`.
    #[serde(default)]
    pub language: Option<String>,
    /// Whether the text gives away how the book ends. `false` when left out.
    #[serde(default)]
    pub spoiler: bool,
}

/// `POST /review-invitations/check`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationCheck {
    /// The `invite` of the link in the mail.
    pub token: String,
}

/// What somebody is asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Invitation {
    /// Their name as it stands beside a review.
    pub author: String,
    /// The books of the order.
    pub books: Vec<InvitedBook>,
    /// Until when reviews are taken.
    pub expires_at: Timestamp,
}

/// A book that somebody is asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InvitedBook {
    /// The book.
    pub book_id: BookId,
    /// Its title when it was sold.
    pub title: String,
    /// The review of it that was written already.
    pub review: Option<Review>,
}

/// Where a review stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReviewStatus {
    /// Everybody sees it.
    Published,
    /// It waits for staff.
    Waiting,
    /// It waits for staff, because something in it was found.
    Held,
    /// Staff took it from the page.
    Hidden,
}

/// Why a review waits or is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// No completed order says that its author has the book.
    NotVerified,
    /// Staff hid an earlier version.
    HiddenBefore,
    /// There is a web address in it.
    Link,
    /// There is a mail address in it.
    Address,
    /// It says the same over and over, or what another review says.
    Repeated,
    /// Its author wrote too many reviews in an hour.
    Rate,
}

/// What the shop answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShopAnswer {
    /// Plain text.
    pub text: String,
    /// When it was last written.
    pub at: Timestamp,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Review {
    /// The review.
    pub id: Uuid,
    /// The book.
    pub book_id: BookId,
    /// Stars, 0.5 to 5 in steps of 0.5.
    pub rating: f64,
    /// One line.
    pub title: Option<String>,
    /// Plain text, with line breaks.
    pub text: Option<String>,
    /// The language of the words, as a BCP 47 tag.
    pub language: Option<String>,
    /// Whether the text gives away how the book ends.
    pub spoiler: bool,
    /// Whether its author bought the book here: a completed order says so.
    pub verified: bool,
    /// First name and an initial.
    pub author: String,
    /// How many found it helpful.
    pub helpful: i64,
    /// Whether whoever asks is one of them; null for those without an account.
    #[serde(default)]
    pub found_helpful: Option<bool>,
    /// What the shop answered.
    pub answer: Option<ShopAnswer>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts changes; the number in the `ETag`. Votes do not count.
    pub version: i64,
    /// What only its author and staff see; null for others.
    pub standing: Option<ReviewStanding>,
}

/// Where a review stands, for its author and for staff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewStanding {
    /// Where it stands.
    pub status: ReviewStatus,
    /// Why it waits or is held.
    pub reason: Option<HoldReason>,
    /// Why staff hid it.
    pub explanation: Option<String>,
    /// What its author wrote when they asked staff to decide again.
    pub appeal: Option<String>,
}

/// How many reviews give so many stars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StarCount {
    /// 1 to 5. Half a star counts as the whole that it begins.
    pub stars: u8,
    /// How many.
    pub count: i64,
}

/// How many reviews are in a language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LanguageCount {
    /// As a BCP 47 tag.
    pub language: String,
    /// How many.
    pub count: i64,
}

/// A page of a book's reviews. `GET /books/{id}/reviews`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReviewPage {
    /// The reviews of this page.
    pub items: Vec<Review>,
    /// Hand this back as `cursor` for the next page; null on the last.
    pub next: Option<String>,
    /// How many published reviews the book has, whatever the filter.
    pub count: i64,
    /// Their plain mean; 0 when there are none.
    pub average: f64,
    /// Of these, how many give 5, 4, 3, 2 and 1 stars.
    pub distribution: Vec<StarCount>,
    /// The languages of those that name one, most first.
    #[serde(default)]
    pub languages: Vec<LanguageCount>,
    /// How the shop checks reviews, to be shown beside them.
    pub checked: String,
    /// What several of them say, from five reviews with words on; null while there is none, and beside the first page of all
    /// reviews only.
    #[serde(default)]
    pub summary: Option<ReviewSummary>,
}

/// What several reviews of a book say, in the readers' own sentences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReviewSummary {
    /// What readers praise, most agreed with first: at most 3.
    pub praised: Vec<ReviewPoint>,
    /// What they miss, most agreed with first: at most 3.
    pub missed: Vec<ReviewPoint>,
}

/// Something that readers say: the sentence that says it best, and who says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReviewPoint {
    /// The sentences it rests on, each word for word from a review of its own. The first stands for all.
    pub sentences: Vec<ReviewSentence>,
}

/// A sentence of a review.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReviewSentence {
    /// The review.
    pub review_id: Uuid,
    /// Who wrote it: first name and an initial.
    pub author: String,
    /// The stars of the review, 0.5 to 5 in steps of 0.5.
    pub rating: f64,
    /// Plain text.
    pub text: String,
}

/// How reviews are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReviewSort {
    /// What most found helpful first.
    #[default]
    Helpful,
    /// Latest first.
    Newest,
    /// Most stars first.
    Highest,
    /// Fewest stars first.
    Lowest,
}

/// `PUT /reviews/{id}/answer`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerInput {
    /// 1 to 2,000 characters of plain text.
    #[schema(min_length = 1, max_length = 2000)]
    pub text: String,
}

/// `POST /reviews/{id}/appeal`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppealInput {
    /// Why it should be seen: 1 to 1,000 characters of plain text.
    #[schema(min_length = 1, max_length = 1000)]
    pub text: String,
}

/// What is wrong with a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportReason {
    /// Advertising.
    Spam,
    /// It insults or threatens somebody.
    Offensive,
    /// It is not about the book.
    OffTopic,
    /// It gives the ending away and does not say so.
    Spoiler,
    /// Its author was paid for it, or never read the book.
    NotGenuine,
    /// It is against the law.
    Illegal,
    /// Something else; the text says what.
    Other,
}

/// `POST /reviews/{id}/reports`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportInput {
    /// What is wrong.
    pub reason: ReportReason,
    /// Up to 500 characters of plain text.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub text: Option<String>,
}

/// A report that staff have not decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewReport {
    /// What is wrong.
    pub reason: ReportReason,
    /// In the reader's words.
    pub text: Option<String>,
    /// Who says so.
    pub by: CustomerId,
    /// When.
    pub at: Timestamp,
}

/// A review as staff see it. `GET /admin/reviews`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModeratedReview {
    /// The review.
    pub review: Review,
    /// Its author's account.
    pub customer_id: CustomerId,
    /// How many reported it since staff last decided.
    pub report_count: i64,
    /// The first of these reports, at most 5.
    pub reports: Vec<ReviewReport>,
}

/// Which reviews staff want to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReviewQueue {
    /// What waits for a decision: new ones, held ones, reported ones, appeals.
    #[default]
    Open,
    /// Those that wait.
    Waiting,
    /// Those that are held.
    Held,
    /// Those that are published.
    Published,
    /// Those that are hidden.
    Hidden,
}

/// What staff decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everybody sees it.
    Publish,
    /// Only its author and staff see it.
    Hide,
}

/// `POST /admin/reviews/{id}/decision`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionInput {
    /// What is decided.
    pub verdict: Verdict,
    /// Why, for its author to read: up to 500 characters; must be given to hide it.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// Who did something to a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReviewActor {
    /// Its author.
    Author,
    /// Staff.
    Staff,
    /// A rule of the shop.
    Shop,
}

/// Something that happened to a review. `GET /reviews/{id}/events`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReviewEvent {
    /// Its place, from 1.
    pub version: u64,
    /// What happened: `Written`, `Edited`, `Verified`, `Waiting`, `Held`, `Published`, `Hidden`, `Appealed`,
    /// `Answered`, `AnswerRemoved`, `Deleted`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: ReviewActor,
    /// Which account; only staff see it.
    pub account: Option<CustomerId>,
    /// Why, if there is a reason.
    pub reason: Option<String>,
    /// The request that it belongs to.
    pub correlation_id: CorrelationId,
}
